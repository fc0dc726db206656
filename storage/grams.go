package storage

import (
	"strings"
	"unicode"
)

// Text is found by its grams: pieces of three letters, or of two where the
// script has a word in two letters (Chinese, Japanese, Korean), from runs of
// letters and digits. The last letters of a run stand alone too, so that every
// piece of a run begins some gram and shorter ones are found as a beginning.
// Grams only narrow the search; what is found is looked at again.

// gramRuns cuts folded text into runs of one kind.
func gramRuns(text string, each func(run []rune, size int)) {
	var run []rune
	size := 0
	end := func() {
		if len(run) > 0 {
			each(run, size)
		}
		run = run[:0]
	}
	for _, r := range text {
		kind := 0
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r):
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul):
			kind = 2
		default:
			kind = 3
		}
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

// gramText is what the index keeps of a contact's search text. Each gram stands
// once: the index does not count them.
func gramText(text string) string {
	var b strings.Builder
	told := map[string]bool{}
	gramRuns(text, func(run []rune, size int) {
		for i := range run {
			g := string(run[i:min(i+size, len(run))])
			if !told[g] {
				told[g] = true
				b.WriteString(g)
				b.WriteByte(' ')
			}
		}
	})
	return b.String()
}

// gramQuery is what to ask the index for text that holds the folded words;
// empty where the index cannot help.
func gramQuery(text string) string {
	var parts []string
	gramRuns(text, func(run []rune, size int) {
		if len(run) < size {
			if size == 2 || len(run) == 2 { // one letter begins too many
				parts = append(parts, `"`+string(run)+`" *`)
			}
			return
		}
		for i := 0; i+size <= len(run); i += size {
			parts = append(parts, `"`+string(run[i:i+size])+`"`)
		}
		if len(run)%size != 0 {
			parts = append(parts, `"`+string(run[len(run)-size:])+`"`)
		}
	})
	return strings.Join(parts, " AND ")
}
