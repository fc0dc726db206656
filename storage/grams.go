package storage

import (
	"slices"
	"unicode"
	"unicode/utf8"
)

// Text is found by its grams: pieces of three letters, or of two where the
// script has a word in two letters (Chinese, Japanese, Korean), from runs of
// letters and digits. The last letters of a run stand alone too, so that every
// piece of a run begins some gram and shorter ones are found as a beginning.
// Grams only narrow the search; what is found is looked at again.

// gramRuns cuts folded text into runs of one kind.
func gramRuns(text string, each func(run []rune, size int)) {
	var room [64]rune
	run := room[:0]
	size := 0
	end := func() {
		if len(run) > 0 {
			each(run, size)
		}
		run = run[:0]
	}
	for _, r := range text {
		kind := gramSize(r)
		if kind != size {
			end()
			size = kind
		}
		if kind != 0 {
			run = append(run, r)
		}
	}
	end()
}

// gramSize is of how many letters a letter's grams are; 0 where it is none.
func gramSize(r rune) int {
	switch {
	case 'a' <= r && r <= 'z', '0' <= r && r <= '9', 'A' <= r && r <= 'Z':
		return 3
	case r < 0x80:
		return 0
	case 0x4E00 <= r && r <= 0x9FFF, 0xAC00 <= r && r <= 0xD7A3:
		return 2
	case !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r):
		return 0
	case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul):
		return 2
	}
	return 3
}

// gramText is what the index keeps of a contact's search text. Each gram stands
// once: the index does not count them.
func gramText(text string) string {
	var room [256]uint64
	grams := room[:0] // up to three letters of 21 bits
	gramRuns(text, func(run []rune, size int) {
		for i := range run {
			var g uint64
			for _, r := range run[i:min(i+size, len(run))] {
				g = g<<21 | uint64(r)
			}
			grams = append(grams, g)
		}
	})
	slices.Sort(grams)
	b := make([]byte, 0, 4*len(grams))
	var last uint64
	for _, g := range grams {
		if g == last {
			continue
		}
		last = g
		for shift := 42; shift >= 0; shift -= 21 {
			if r := rune(g >> shift & (1<<21 - 1)); r != 0 {
				b = utf8.AppendRune(b, r)
			}
		}
		b = append(b, ' ')
	}
	return string(b)
}

// gram is one thing to ask the index for.
type gram struct {
	match  string
	begins bool // the beginning of a gram
}

// gramQuery is what to ask the index, all of it, for text that holds the folded
// words; nothing where the index cannot help.
func gramQuery(text string) (all []gram) {
	gramRuns(text, func(run []rune, size int) {
		if len(run) < size {
			if size == 2 || len(run) == 2 { // one letter begins too many
				all = append(all, gram{`"` + string(run) + `" *`, true})
			}
			return
		}
		for i := 0; i+size <= len(run); i += size {
			all = append(all, gram{`"` + string(run[i:i+size]) + `"`, false})
		}
		if len(run)%size != 0 {
			all = append(all, gram{`"` + string(run[len(run)-size:]) + `"`, false})
		}
	})
	return all
}

// gramsWithin returns the whole grams of folded text, all that overlap, at most
// so many.
func gramsWithin(text string, most int) (all []string) {
	gramRuns(text, func(run []rune, size int) {
		for i := 0; i+size <= len(run) && len(all) < most; i++ {
			all = append(all, `"`+string(run[i:i+size])+`"`)
		}
	})
	return all
}
