// Package e2e tests the whole program from outside: the real binary, built once
// per run of the tests, called by its command line and judged by what it
// prints, by its exit code, by what real mail servers got, and by what lies in
// its data folder.
//
// The tests run on Linux: they use /proc, network namespaces and process
// signals of that system. They have no part in a run under the race detector,
// which cannot see into another process; the plain run has them all.
package e2e
