// Package smtpscript is an SMTP submission server for tests, crash tests and
// benchmarks. It runs in the test's own process, or as the program cmd/sink.
//
// Left alone it is a correct and quick server: RFC 5321 with PIPELINING
// (RFC 2920), SIZE, 8BITMIME, SMTPUTF8, DSN, ENHANCEDSTATUSCODES, STARTTLS,
// AUTH. It reads ahead, answers in order, and sends all replies to one burst of
// the client in one write.
//
// A Script may turn any single reply into a fault: see Action. Config holds
// what a whole server does wrong (certificates, TLS versions, missing
// extensions, broken pipelining) and how far away it is (Up, Down).
//
// The truth for "nothing lost, nothing doubled" is Taken: a message counts as
// taken at the moment the server has its full dot and decides to keep it. That
// is recorded before the first byte of the reply is written, whatever becomes
// of the reply.
//
// A Server is safe for concurrent use. Calls of a Script never overlap, so it
// needs no lock of its own; it must not block (Action.Hold waits without
// stopping other connections).
package smtpscript
