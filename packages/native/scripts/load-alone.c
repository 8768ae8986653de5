// Loads an addon without Node, to show that its C library has every other symbol that it needs (scripts/test-musl.sh).
#include <dlfcn.h>
#include <stdio.h>

int main(int count, char** words) {
  void* addon = count == 2 ? dlopen(words[1], RTLD_NOW) : NULL;
  if (addon == NULL || dlsym(addon, "napi_register_module_v1") == NULL) {
    fprintf(stderr, "%s\n", count == 2 ? dlerror() : "usage: load-alone ADDON");
    return 1;
  }
  puts("loaded: the C library has every symbol");
  return 0;
}
