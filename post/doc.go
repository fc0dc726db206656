// Package post holds the words of Postroom: accounts, contacts, mailings,
// deliveries, attempts and receipts, the states they may be in, the moves
// between those states, and the kinds of error a user can meet.
//
// It is the bottom of the house: it imports nothing of Postroom's own, does no
// input or output, and starts no goroutine. All of its types are plain values;
// whoever holds one may copy it. Times are time.Time in UTC with a resolution
// of one millisecond, because that is what the ledger keeps.
package post
