// Package mailer drains the outbox: it claims deliveries, renders them, speaks
// SMTP, judges every reply, and records what happened, so that no recipient is
// lost and no copy is sent that the ledger does not show.
//
// What is on disk before which step:
//
//  1. claim: the row is claimed. Nothing was sent; a crash gives it back.
//  2. render: the whole message, in memory, before any connection is used.
//  3. envelope: MAIL, RCPT, DATA. It commits nobody to anything.
//  4. intent (commit B): the row is sending, durably, before its dot goes out.
//     Intents are written ahead for as many messages as the connection sends in
//     25 ms, at least 1, at most 30: the intent window. Where it is more than
//     one, claim and intent are one commit.
//  5. body and dot. With PIPELINING (RFC 2920) the next envelope goes in the
//     same write, so that a message costs one round trip.
//  6. result (commit C): only the reply to the dot decides. A result is durable
//     before the next dot that is not covered by the same intent window, and
//     shares its commit with the next intents.
//
// A progress mark (see mark) notes without flushing which messages of a window
// were started and what was answered. After a crash of the process it narrows
// the uncertain rows to the message in flight on each connection; after a power
// cut it is not trusted, and the whole windows are uncertain.
//
// Structure: one scheduler goroutine looks at accounts and due times and starts
// lanes; a lane is one goroutine with one connection of one account. What an
// account has learned, its backoff, quota, pace and breakers are shared by its
// lanes in a sender; accounts share mailings through shares; Mailer.stage sets rehearsals up. The verdicts
// are a pure function, Judge; Foresee runs all of it ahead on paper.
//
// Only one mailer runs on a ledger; the caller holds storage's lock.
package mailer
