package post

// SentCopies is of which messages a copy is filed in the account's own folder
// for sent mail.
type SentCopies string

// The choices.
const (
	SentCopiesNone SentCopies = "none"
	SentCopiesEach SentCopies = "each" // of every message
	SentCopiesOne  SentCopies = "one"  // of one message of each mailing
)

// Valid reports whether c is one of them.
func (c SentCopies) Valid() bool {
	return c == SentCopiesNone || c == SentCopiesEach || c == SentCopiesOne
}
