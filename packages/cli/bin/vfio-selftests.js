#!/usr/bin/env node
// In the repository from the start, unlike dist: a package manager links it before anything is built.
require("../dist/main.js");
