// Package practice is the rehearsal room: a mail server that lives inside the
// program, takes what the mailer sends, and delivers nothing. Each message it
// catches lies afterwards as one .eml file, with exactly the bytes that came
// over the wire, and can be shown as text, as HTML and as source.
//
// What it promises:
//
//  1. It listens on 127.0.0.1 alone, on a port the system picks, and takes no
//     mail without the credential that Start made for this run. Other people
//     on the same computer can neither fill the disk nor read along.
//  2. A message is answered "250 2.0.0 caught as NAME" only when its file
//     stands complete under its name: written beside, flushed, renamed.
//     A full disk is 452 4.3.1, any other local trouble 451 4.3.0, a message
//     that is too large 552 5.3.4; none of them leaves anything behind.
//  3. Nothing is ever written outside of the folder given, whatever a
//     Message-ID says: the name is made of harmless characters and the folder
//     is held open as an os.Root.
//  4. Everything is bounded: connections, bytes a message, recipients, time to
//     sign in, idle time, and what Read takes from a file.
//
// The steps: Start a trap, point the mailer at Trap.Account with Trap.Secret,
// send, Close. Path finds a caught message by its Message-ID, Read opens it,
// Serve shows its HTML to a browser, SaveAs copies it out.
package practice
