package accounts

import (
	"context"

	"postroom/post"
)

// Fixed is the Secrets of one server whose password the program itself made up,
// such as the practice trap's. Nothing is kept.
type Fixed string

var _ Secrets = Fixed("")

// Get returns the secret, whatever the account.
func (f Fixed) Get(context.Context, post.Account) (string, error) { return string(f), nil }

// Set refuses: there is nowhere to keep another.
func (Fixed) Set(context.Context, post.Account, string) error { return errNotKept() }

// Delete does nothing.
func (Fixed) Delete(context.Context, post.Account) error { return nil }
