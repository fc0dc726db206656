// Package faultdisk puts a disk that fails on purpose under SQLite. It stands
// between the engine and the operating system (a shim in SQLite's VFS,
// https://sqlite.org/vfs.html) and, for the files below one folder,
//
//   - counts and records every write, truncation and flush in order,
//   - answers any of them with an error of the caller's choice,
//   - cuts the power: from then on every call fails, and Image writes the folder
//     as it would be found afterwards: what was flushed, and of what was not an
//     arbitrary part, whole or torn at a sector.
//
// A process that is killed is the same with everything that was written kept
// (Image with All): the kernel has it.
//
// It works in the process that watches, with any number of connections, and is
// for tests only. The -shm file is mapped memory and is left out: SQLite makes it
// anew.
package faultdisk
