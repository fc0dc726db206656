// Package receipts reads the mailboxes of sender accounts back: delivery
// reports, read receipts, replies, automatic replies, complaints and requests to
// be left out.
//
// Parse looks at one message and says what it tells and by which of our ids it
// is tied. It is pure, never fails, and is bounded in everything (see the
// constants in message.go): what it does not understand is unknown, never a
// failure.
//
// A message is tied to a delivery only by something that its sender cannot
// guess: the envelope id of our own RCPT (RFC 3461 4.4), our Message-ID in
// In-Reply-To, References or in returned headers, or the same id as a token in
// an address or subject. Addresses tie nothing. So a forged report changes
// nothing.
//
// Fetcher.Fetch reads what is new in one account's INBOX: over verified TLS
// (STARTTLS never falls back; plain text only to this computer itself), read
// only (EXAMINE, BODY.PEEK), in steps whose position is kept in the same
// transaction as what they found. So a fetch may be killed at any moment:
// nothing is missed and nothing is counted twice. Watcher.Run does so for all
// accounts in the background, each mailbox by itself.
//
// Nothing is changed in an INBOX but by HandledFolder.Visit, and only where the
// user chose a folder for handled reports: it moves there what a machine reported,
// after the ledger has it.
package receipts
