// Package words is the catalogue: every sentence that Postroom shows, by key,
// in every language it speaks. It imports no toolkit, so the command line and
// the window say the same.
//
// The texts stand in en.json and zh-Hans.json: one flat object each, sorted,
// one key a line. Arguments are {0}, {1} and so on. A key that counts has the
// forms "key.one" and "key.other"; Chinese has only "key.other". English is
// complete by definition: a key that another language lacks is shown in
// English, a key that English lacks is shown as itself.
package words

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"postroom/post"
)

// Lang is a language of the catalogue, as an IETF tag.
type Lang string

// The languages.
const (
	English Lang = "en"
	Chinese Lang = "zh-Hans"
)

// Langs lists the languages in the order in which they are offered.
var Langs = []Lang{English, Chinese}

//go:embed en.json zh-Hans.json
var files embed.FS

// Catalogue speaks one language. It is immutable and safe for concurrent use.
type Catalogue struct {
	lang  Lang
	texts map[string]string
	base  *Catalogue // English; nil in English itself
}

var catalogues = load()

func load() map[Lang]*Catalogue {
	m := make(map[Lang]*Catalogue, len(Langs))
	for _, lang := range Langs {
		b, err := files.ReadFile(string(lang) + ".json")
		if err != nil { // embedded: it was there when the program was built
			panic("words: " + err.Error())
		}
		c := &Catalogue{lang: lang, base: m[English]}
		if err := json.Unmarshal(b, &c.texts); err != nil {
			panic(fmt.Sprintf("words: %s: %v", lang, err))
		}
		m[lang] = c
	}
	return m
}

// For returns the catalogue of a language, or the English one when the language
// is not known.
func For(lang Lang) *Catalogue {
	if c, ok := catalogues[lang]; ok {
		return c
	}
	return catalogues[English]
}

// Guess returns the language that fits a locale such as "zh_CN.UTF-8" or
// "de-AT": Chinese for every Chinese, else English.
func Guess(locale string) Lang {
	tag := strings.ToLower(locale)
	if tag == "zh" || strings.HasPrefix(tag, "zh_") || strings.HasPrefix(tag, "zh-") || strings.HasPrefix(tag, "zh.") {
		return Chinese
	}
	return English
}

// Lang returns the language of the catalogue.
func (c *Catalogue) Lang() Lang { return c.lang }

// find returns the text of a key, or false.
func (c *Catalogue) find(key string) (string, bool) {
	if s, ok := c.texts[key]; ok {
		return s, true
	}
	if c.base != nil {
		return c.base.find(key)
	}
	return "", false
}

// Has reports whether the key has words in this language or in English.
func (c *Catalogue) Has(key string) bool {
	if _, ok := c.find(key); ok {
		return true
	}
	_, ok := c.find(key + ".other")
	return ok
}

// T returns the text of a key with its arguments put in. Whole numbers get
// thousands separators and durations become words; everything else, strings
// above all, is put in as it is. A number that is a name (a port, a year) is
// therefore passed as a string.
func (c *Catalogue) T(key string, args ...any) string {
	s, ok := c.find(key)
	if !ok {
		return key
	}
	return c.fill(s, args)
}

// N returns the text of a key that counts, in the form that n asks for. n is
// argument {0}; args are {1}, {2} and so on.
func (c *Catalogue) N(key string, n int64, args ...any) string {
	all := append([]any{n}, args...)
	if s, ok := c.plural(key, n); ok {
		return c.fill(s, all)
	}
	return c.T(key, all...)
}

// plural returns the form of a key for n, in this language first.
func (c *Catalogue) plural(key string, n int64) (string, bool) {
	if n == 1 && c.base == nil {
		if s, ok := c.texts[key+".one"]; ok {
			return s, true
		}
	}
	if s, ok := c.texts[key+".other"]; ok {
		return s, true
	}
	if c.base != nil {
		return c.base.plural(key, n)
	}
	return "", false
}

// fill puts args in for {0}, {1} ... in one pass, so that an argument's own
// braces stay text.
func (c *Catalogue) fill(s string, args []any) string {
	if len(args) == 0 || !strings.Contains(s, "{") {
		return s
	}
	var b strings.Builder
	for {
		open := strings.IndexByte(s, '{')
		if open < 0 {
			break
		}
		end := strings.IndexByte(s[open:], '}')
		if end < 0 {
			break
		}
		b.WriteString(s[:open])
		i, err := strconv.Atoi(s[open+1 : open+end])
		if err == nil && i >= 0 && i < len(args) {
			b.WriteString(c.format(args[i]))
			s = s[open+end+1:]
			continue
		}
		b.WriteByte('{') // one of a tag, which may have a placeholder in it
		s = s[open+1:]
	}
	b.WriteString(s)
	return b.String()
}

func (c *Catalogue) format(arg any) string {
	switch v := arg.(type) {
	case string:
		return v
	case int:
		return c.Number(int64(v))
	case int32:
		return c.Number(int64(v))
	case int64:
		return c.Number(v)
	case time.Duration:
		return c.Duration(v)
	default:
		return fmt.Sprint(arg)
	}
}

// Reason returns the words of a reason's key, empty for none. The raw text of a
// server is never part of them: it is shown apart, small and monospaced. A key
// without words of its own is looked up as one that counts its first argument.
func (c *Catalogue) Reason(r post.Reason) string {
	if r.Key == "" {
		return ""
	}
	args := make([]any, len(r.Args))
	for i, a := range r.Args {
		args[i] = a
	}
	if n := len(args); n > 0 && strings.HasSuffix(r.Key, ".suppressed") { // the last one is why, where it is one of ours
		if why := "suppression." + r.Args[n-1]; c.Has(why) {
			args[n-1] = c.T(why)
		}
	}
	key := r.Key
	if n := len(args); n > 2 && (strings.HasPrefix(key, "compose.template") || strings.HasSuffix(key, "-field")) {
		if part := "compose.part." + strings.ReplaceAll(r.Args[0], " ", "_"); c.Has(part) {
			args[0] = c.T(part)
		}
		if r.Args[1] == "0" && c.Has(key+".whole") { // of no line in particular
			key += ".whole"
		}
		// A template's fault has a name and arguments of its own behind the English.
		if n > 3 && r.Args[3] != "" && c.Has("compose.template."+r.Args[3]) {
			args[2] = c.T("compose.template."+r.Args[3], args[4:]...)
		}
		return c.T(key, args...)
	}
	if _, ok := c.find(r.Key); !ok && len(r.Args) > 0 {
		if n, err := strconv.ParseInt(r.Args[0], 10, 64); err == nil {
			return c.N(r.Key, n, args[1:]...)
		}
	}
	return c.T(r.Key, args...)
}

// Error returns what an error means in plain words, and what can be done about
// it: by its reason where it has one, then by its own sentence (in English
// only), then by its kind.
func (c *Catalogue) Error(err error) (what, advice string) {
	if err == nil {
		return "", ""
	}
	kind := strings.ReplaceAll(post.KindOf(err).String(), " ", "_")
	what, advice = c.T("error.kind."+kind), c.T("error.advice."+kind)
	var fault *post.Fault
	if errors.As(err, &fault) {
		if words := c.Fault(fault); words != "" {
			what = words
		}
	}
	var e *post.Error
	if errors.As(err, &e) {
		switch {
		case e.Reason.Key != "" && c.Has(e.Reason.Key):
			what = c.Reason(e.Reason)
		case e.Message != "" && c.lang == English:
			what = sentence(e.Message)
		}
	}
	return what, advice
}

// Fault returns what ended a conversation with a server: its reason, or its
// cause. It is empty when the server's own reply says it all.
func (c *Catalogue) Fault(f *post.Fault) string {
	switch {
	case f.Reason.Key != "" && c.Has(f.Reason.Key):
		return c.Reason(f.Reason)
	case f.Cause != post.CauseNone:
		return c.T("cause." + string(f.Cause))
	default:
		return ""
	}
}

// sentence gives a message its capital letter and its dot.
func sentence(s string) string {
	if s == "" {
		return s
	}
	if s[0] >= 'a' && s[0] <= 'z' {
		s = string(s[0]-'a'+'A') + s[1:]
	}
	if !strings.ContainsRune(".!?…", rune(s[len(s)-1])) {
		s += "."
	}
	return s
}

// State returns the short word for a delivery's state, such as "accepted".
func (c *Catalogue) State(s post.State) string { return c.T("state." + string(s)) }

// Fate returns the one word for how far the sending of a delivery has come: that of
// its state, unless it is held back or was a rehearsal. What came back stands beside
// it, and the two are never mixed.
func (c *Catalogue) Fate(s post.State, kind post.MailingKind, held bool) string {
	switch {
	case s == post.StateSent && kind == post.Rehearsal:
		return c.T("state.caught")
	case held:
		return c.T("state.paused")
	}
	return c.State(s)
}

// StateLong returns the words for a delivery's state, such as "accepted by your
// provider".
func (c *Catalogue) StateLong(s post.State) string { return c.T("state.long." + string(s)) }

// Receipt returns the word for what came back.
func (c *Catalogue) Receipt(r post.ReceiptKind) string { return c.T("receipt." + string(r)) }

// Outcome returns the word for how far a message is known to have come.
func (c *Catalogue) Outcome(o post.Outcome) string { return c.T("outcome." + string(o)) }

// MailingState returns the word for what a mailing is doing.
func (c *Catalogue) MailingState(s post.MailingState) string {
	return c.T("mailing.state." + string(s))
}

// AccountState returns the word for what an account is doing.
func (c *Catalogue) AccountState(s post.AccountState) string {
	return c.T("account.state." + string(s))
}

// Missing returns what is wrong with the catalogues, one line each: keys that a
// language lacks or has too many, and texts whose placeholders differ.
func Missing() []string {
	var wrong []string
	en := catalogues[English].texts
	for key, text := range en {
		if stem, one := strings.CutSuffix(key, ".one"); one {
			other, ok := en[stem+".other"]
			if !ok {
				wrong = append(wrong, "en: "+key+" has no .other")
			} else if places(other) != places(text) {
				wrong = append(wrong, "en: "+key+" and .other differ in placeholders")
			}
			continue // no other language of the catalogue has this form
		}
		for _, lang := range Langs[1:] {
			other, ok := catalogues[lang].texts[key]
			switch {
			case !ok:
				wrong = append(wrong, string(lang)+": no words for "+key)
			case strings.TrimSpace(other) == "":
				wrong = append(wrong, string(lang)+": empty words for "+key)
			case places(other) != places(text):
				wrong = append(wrong, string(lang)+": "+key+" has other placeholders than English")
			}
		}
	}
	for _, lang := range Langs[1:] {
		for key := range catalogues[lang].texts {
			if _, ok := en[key]; !ok {
				wrong = append(wrong, string(lang)+": "+key+" is not in English")
			}
		}
	}
	sort.Strings(wrong)
	return wrong
}

// places returns the numbers of the placeholders in s, sorted, each once.
func places(s string) string {
	seen := map[int]bool{}
	for {
		open := strings.IndexByte(s, '{')
		if open < 0 {
			break
		}
		s = s[open+1:]
		end := strings.IndexByte(s, '}')
		if end < 0 {
			break
		}
		if n, err := strconv.Atoi(s[:end]); err == nil {
			seen[n] = true
		}
	}
	ns := make([]int, 0, len(seen))
	for n := range seen {
		ns = append(ns, n)
	}
	sort.Ints(ns)
	return fmt.Sprint(ns)
}
