{
  "targets": [
    {
      "target_name": "vfio_native",
      "sources": [
        "src/addon.cc",
        "src/argument_check.cc",
        "src/bound_ioctl.cc",
        "src/bound_socket.cc",
        "src/bytes.cc",
        "src/cpu_features.cc",
        "src/descriptors.cc",
        "src/external_memory.cc",
        "src/fault_recovery.cc",
        "src/ioctl.cc",
        "src/map_options.cc",
        "src/mapped_io.cc",
        "src/mapped_memory.cc",
        "src/mapping.cc",
        "src/poller.cc",
        "src/register_access.S",
        "src/single_threaded.cc",
        "src/socket_transfer.cc",
        "src/sockets.cc",
        "src/threads.cc",
        "src/waiting.cc",
      ],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
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
      # A worker that ends closes the library; our signal handlers must stay in place (fault_recovery.cc, threads.cc).
      "ldflags": ["-Wl,-z,nodelete", "-Wl,-z,relro,-z,now"],
    }
  ]
}
