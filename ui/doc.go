// Package ui is the window: the navigation at the left and one screen at a time
// beside it. It only puts together what lies below: ui/screens/<area> are the
// places, ui/widgets present, ui/dialogs ask, ui/task runs long work.
//
// Nothing blocks the user interface's goroutine: no SQL, network or keyring is
// touched on it. Changes go down as commands to the ledger; what happened comes
// up by one watcher, which notices commits of any process and tells the screen
// in front, at most five times a second, to read again what it shows.
package ui
