package mailings

import (
	"errors"
	"strings"
	"testing"

	"postroom/assets/words"
	"postroom/compose"
	"postroom/post"
)

// Every mistake in a template is told in the user's language, with the line and
// what to write instead.
func TestFaultsHaveWords(t *testing.T) {
	zh, en := words.For(words.Chinese), words.For(words.English)
	for _, c := range []struct{ body, key, says string }{
		{"a\n{{if x}}", "if-open", "{{end}}"},
		{"a\n{{x", "tag-open", "}}"},
		{"a\n{{end}}", "end-alone", "{{if}}"},
		{"a\n{{}}", "empty", "{{"},
		{"a\n{{x | default “y”}}", "quotes", `default "`},
		{"a\n{{range x}}{{end}}", "word-range", "{{range}}"},
		{"a\n{{with x}}{{end}}", "word-with", "{{if name}}"},
		{"a\n{{First Name}}", "words", `{{field "First Name"}}`},
		{"a\n{{.city}}", "dot", "{{city}}"},
		{"a\n{{printf}}", "reserved", `{{field "printf"}}`},
		{"a\n{{x | default 5}}", "number", `"5"`},
		{"a\n{{upper x y}}", "usage", "{{first_name | upper}}"},
		{"a\n{{x | default}}", "usage-default", "| default "},
		{"a\n{{eq x}}", "usage-eq", "{{if eq city"},
		{"a\n{{x | date \"qq\"}}", "format-date", "“qq”"},
		{"a\n{{x | date \"long\" \"it\"}}", "date-language", "it"},
		{"a\n{{x | number \"9\"}}", "format-number", "“9”"},
		{"a\n{{x | y}}", "after-bar", "upper"},
		{"a\n{{$x := y}}", "variables", ""},
		{"a\n{{field x}}", "usage-field", "{{field "},
	} {
		_, err := compose.Compile(t.Context(), post.Content{Subject: "s", Body: c.body}, nil, compose.Options{})
		var e *post.Error
		if !errors.As(err, &e) || len(e.Reason.Args) < 4 {
			t.Errorf("%q: %v", c.body, err)
			continue
		}
		if e.Reason.Args[3] != c.key || e.Reason.Args[1] != "2" {
			t.Errorf("%q: %v", c.body, e.Reason.Args)
		}
		inChinese, inEnglish := zh.Reason(e.Reason), en.Reason(e.Reason)
		if !strings.HasPrefix(inChinese, "正文 第 2 行：") || !strings.Contains(inChinese, c.says) || strings.Contains(inChinese, e.Reason.Args[2]) {
			t.Errorf("%q in Chinese: %s", c.body, inChinese)
		}
		if !strings.HasPrefix(inEnglish, "Message, line 2: ") || !strings.Contains(inEnglish, c.says) {
			t.Errorf("%q in English: %s", c.body, inEnglish)
		}
	}
}
