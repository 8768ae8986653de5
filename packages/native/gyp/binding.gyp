{
  "targets": [
    {
      "target_name": "vfio_native",
      "sources": [
        "src/addon.cc",
        "src/arguments/argument_check.cc",
        "src/arguments/bytes.cc",
        "src/calls/bound_ioctl.cc",
        "src/calls/cpu_features.cc",
        "src/calls/descriptors.cc",
        "src/calls/fail_nth.cc",
        "src/calls/ioctl.cc",
        "src/calls/kexec.cc",
        "src/calls/single_threaded.cc",
        "src/calls/threads.cc",
        "src/memory/external_memory.cc",
        "src/memory/map_options.cc",
        "src/memory/mapped_memory.cc",
        "src/memory/mapping.cc",
        "src/registers/fault_recovery.cc",
        "src/registers/mapped_io.cc",
        "src/registers/register_access.S",
        "src/sockets/bound_socket.cc",
        "src/sockets/socket_transfer.cc",
        "src/sockets/sockets.cc",
        "src/waiting/poller.cc",
        "src/waiting/waiting.cc",
      ],
      "include_dirs": ["src", "<!(node -p \"require('node-addon-api').include_dir\")"],
      # NODE_API_SWALLOW_…: a worker that is being terminated can throw nothing; without it node-addon-api aborts.
      "defines": [
        "NAPI_VERSION=8",
        "NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS",
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS",
        "_GNU_SOURCE",
      ],
      "cflags!": ["-O3"],
      "cflags": ["-O2", "-fvisibility=hidden"],
      # Without type information std::shared_ptr asks for the libstdc++ of GCC 9.
      "cflags_cc!": ["-fno-rtti"],
      "cflags_cc": ["-std=c++20", "-Wall", "-Wextra", "-Werror"],
      # A worker that ends closes the library; our signal handlers must stay in place (registers/fault_recovery.cc, calls/threads.cc).
      "ldflags": ["-Wl,-z,nodelete", "-Wl,-z,relro,-z,now"],
    }
  ]
}
