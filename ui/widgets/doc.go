// Package widgets holds the parts of which the window's screens are built: they
// show what they are given and call back, and know nothing of storage, mail or
// threads. All of them are used on the window's own goroutine only.
//
// Sizes come from assets/theme, words from assets/words. Every widget that can
// be used has a look for focus and for being switched off, and works from the
// keyboard. A change of theme reaches a widget through Refresh; a change of
// language is made by building the screen again.
package widgets
