// std::shared_ptr asks this variable of glibc 2.32 whether it may do without atomic operations. Ours says no, and with it
// the addon loads with the glibc that Node itself asks for, 2.28.
extern "C" {
extern char __libc_single_threaded;
__attribute__((visibility("hidden"))) char __libc_single_threaded = 0;
}
