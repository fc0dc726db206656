// Package accounts knows the sender accounts: where their secrets are, how to
// reach and sign in to their servers, and what to tell a user when that fails.
//
// A sign-in is one call, Dialer.Dial. It fetches the secret first (so that a
// locked keyring never costs a connection), resolves the host and tries each of
// its addresses, sets up TLS, reads the greeting, says EHLO, signs in, and
// returns a Conn: a Wire ready for the first MAIL, and what the server offered.
// A failure at any step closes the socket and is a *post.Fault that names the
// phase and either keeps the server's reply or the class of the local cause.
// Nobody is ever signed in to outside of verified TLS, except on this computer
// itself when the account says so; STARTTLS never falls back to plain text.
//
// A Wire is our own reader and writer of SMTP (RFC 5321) over one connection:
// it reads replies strictly and within caps, and counts what the connection
// has accepted, so that the mailer knows whether a message was handed over.
//
// Dialer.Test is the doctor: the same steps, one by one, with advice.
//
// Discoverer finds the server for an address, over HTTPS and DNS. What it finds
// is a proposal: the user sees the server's name before a password goes there.
package accounts
