// std::shared_ptr asks this variable of glibc 2.32 whether it may do without atomic operations. This definition says
// no. With it the addon loads with glibc 2.28, the version that Node itself needs.
extern "C" {
extern char __libc_single_threaded;
__attribute__((visibility("hidden"))) char __libc_single_threaded = 0;
}
