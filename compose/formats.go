package compose

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// format writes a value of one kind, a date or a number, as its pattern says.
// ok is false for a value that cannot be read without guessing; it is then
// given back as it is, and Check has refused its row before.
type format interface {
	apply(value string) (out string, ok bool)
}

// parseFormat reads the literal arguments of date or number. what is empty, or
// says what is wrong and what to write instead.
func parseFormat(fn string, args []string) (f format, what string) {
	if fn == "number" {
		return parseNumberFormat(args[0])
	}
	lang := "en"
	if len(args) > 1 {
		lang = strings.ToLower(args[1])
	}
	return parseDateFormat(args[0], lang)
}

// formatCall is date and number for Go's own template packages.
func formatCall(fn string) func(args ...string) string {
	return func(args ...string) string {
		value := args[len(args)-1]
		f, what := parseFormat(fn, args[:len(args)-1])
		if what != "" {
			return value
		}
		out, _ := f.apply(value)
		return out
	}
}

// dateNames are the names of months and weekdays (from Sunday), long and short.
type dateNames struct {
	months, days       [2][]string
	long, short        string // the patterns of "long" and "short"
	morning, afternoon string
}

func split(s string) []string { return strings.Fields(s) }

var dateLanguages = map[string]*dateNames{
	"en": {
		months: [2][]string{
			split("January February March April May June July August September October November December"),
			split("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"),
		},
		days: [2][]string{split("Sunday Monday Tuesday Wednesday Thursday Friday Saturday"), split("Sun Mon Tue Wed Thu Fri Sat")},
		long: "d MMMM yyyy", short: "d MMM yyyy", morning: "am", afternoon: "pm",
	},
	"de": {
		months: [2][]string{
			split("Januar Februar März April Mai Juni Juli August September Oktober November Dezember"),
			split("Jan. Feb. März Apr. Mai Juni Juli Aug. Sept. Okt. Nov. Dez."),
		},
		days: [2][]string{split("Sonntag Montag Dienstag Mittwoch Donnerstag Freitag Samstag"), split("So. Mo. Di. Mi. Do. Fr. Sa.")},
		long: "d. MMMM yyyy", short: "dd.MM.yyyy", morning: "vorm.", afternoon: "nachm.",
	},
	"fr": {
		months: [2][]string{
			split("janvier février mars avril mai juin juillet août septembre octobre novembre décembre"),
			split("janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc."),
		},
		days: [2][]string{split("dimanche lundi mardi mercredi jeudi vendredi samedi"), split("dim. lun. mar. mer. jeu. ven. sam.")},
		long: "d MMMM yyyy", short: "dd/MM/yyyy", morning: "AM", afternoon: "PM",
	},
	"es": {
		months: [2][]string{
			split("enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"),
			split("ene. feb. mar. abr. may. jun. jul. ago. sept. oct. nov. dic."),
		},
		days: [2][]string{split("domingo lunes martes miércoles jueves viernes sábado"), split("dom. lun. mar. mié. jue. vie. sáb.")},
		long: "d 'de' MMMM 'de' yyyy", short: "dd/MM/yyyy", morning: "a. m.", afternoon: "p. m.",
	},
	"zh": {
		months: [2][]string{
			split("一月 二月 三月 四月 五月 六月 七月 八月 九月 十月 十一月 十二月"),
			split("1月 2月 3月 4月 5月 6月 7月 8月 9月 10月 11月 12月"),
		},
		days: [2][]string{split("星期日 星期一 星期二 星期三 星期四 星期五 星期六"), split("周日 周一 周二 周三 周四 周五 周六")},
		long: "yyyy年M月d日", short: "yyyy-MM-dd", morning: "上午", afternoon: "下午",
	},
}

const dateUsage = `a date is written like {{due | date "d MMMM yyyy"}}, {{due | date "dd.MM.yyyy"}} or {{due | date "long" "de"}}`

// dateFormat is a pattern in the letters of Unicode's own (UTS 35): y M d E H h
// m s a. What is no letter, or stands in single quotes, is text.
type dateFormat struct {
	names  *dateNames
	fields []dateField
}

// dateField is one run of a letter, or text where letter is 0.
type dateField struct {
	letter byte
	width  int
	text   string
}

// dateWidths are the letters, and how often each may stand in a row.
var dateWidths = map[byte]int{'y': 4, 'M': 4, 'd': 2, 'E': 4, 'H': 2, 'h': 2, 'm': 2, 's': 2, 'a': 1}

func parseDateFormat(pattern, lang string) (format, string) {
	names, ok := dateLanguages[lang]
	if !ok {
		return nil, fmt.Sprintf("dates are written in en, de, fr, es or zh, not in %q", lang)
	}
	switch pattern {
	case "long":
		pattern = names.long
	case "short":
		pattern = names.short
	}
	f := &dateFormat{names: names}
	for i := 0; i < len(pattern); {
		c := pattern[i]
		switch c {
		case 'Y', 'D': // as spreadsheets write them
			c += 'a' - 'A'
		case '\'':
			end := strings.IndexByte(pattern[i+1:], '\'')
			if end < 0 {
				return nil, "the date's pattern lacks its second single quote"
			}
			f.fields = append(f.fields, dateField{text: pattern[i+1 : i+1+end]})
			i += end + 2
			continue
		}
		if c < utf8.RuneSelf && unicode.IsLetter(rune(c)) {
			n := 1
			for i+n < len(pattern) && pattern[i+n] == pattern[i] {
				n++
			}
			if most := dateWidths[c]; n > most || c == 'y' && n == 3 {
				return nil, fmt.Sprintf("%q is not part of a date; %s", pattern[i:i+n], dateUsage)
			}
			f.fields = append(f.fields, dateField{letter: c, width: n})
			i += n
			continue
		}
		_, n := utf8.DecodeRuneInString(pattern[i:])
		f.fields = append(f.fields, dateField{text: pattern[i : i+n]})
		i += n
	}
	if len(f.fields) == 0 {
		return nil, dateUsage
	}
	return f, ""
}

// dateLayouts are the ways of writing a date that mean one day only. 03/04/2026
// is not among them: it is March to some and April to others.
var dateLayouts = []string{
	"2006-01-02", "2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04",
	"2006/1/2", "2006/1/2 15:04", "2.1.2006", "2.1.2006 15:04", "2006年1月2日", "2 January 2006", "2 Jan 2006", "January 2, 2006", "20060102",
}

// parseDate reads a value as a date.
func parseDate(s string) (time.Time, bool) {
	s = strings.TrimSpace(s)
	if len(s) < 8 || len(s) > 40 {
		return time.Time{}, false
	}
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// apply implements format.
func (f *dateFormat) apply(value string) (string, bool) {
	t, ok := parseDate(value)
	if !ok {
		return value, false
	}
	b := make([]byte, 0, 40)
	for _, x := range f.fields {
		switch x.letter {
		case 0:
			b = append(b, x.text...)
		case 'M':
			b = f.named(b, x.width, int(t.Month()), f.names.months, int(t.Month())-1)
		case 'E':
			b = f.named(b, max(x.width, 3), 0, f.names.days, int(t.Weekday()))
		case 'a':
			if t.Hour() < 12 {
				b = append(b, f.names.morning...)
			} else {
				b = append(b, f.names.afternoon...)
			}
		default:
			b = appendPadded(b, clockPart(t, x), x.width)
		}
	}
	return string(b), true
}

// clockPart is the number that a field of plain digits shows.
func clockPart(t time.Time, x dateField) int {
	switch x.letter {
	case 'y':
		if x.width == 2 {
			return t.Year() % 100
		}
		return t.Year()
	case 'd':
		return t.Day()
	case 'H':
		return t.Hour()
	case 'h':
		return (t.Hour()+11)%12 + 1
	case 'm':
		return t.Minute()
	default:
		return t.Second()
	}
}

// named appends a month or weekday: four letters are its name, three its short
// name, fewer its number.
func (f *dateFormat) named(b []byte, width, n int, names [2][]string, i int) []byte {
	switch width {
	case 4:
		return append(b, names[0][i]...)
	case 3:
		return append(b, names[1][i]...)
	default:
		return appendPadded(b, n, width)
	}
}

func appendPadded(b []byte, n, width int) []byte {
	s := strconv.Itoa(n)
	for i := len(s); i < width; i++ {
		b = append(b, '0')
	}
	return append(b, s...)
}

const numberUsage = `a number's pattern is one written as you want yours, like "1,234.56", "1.234,56", "1 234,56" or "1234"`

// numberFormat is a number written as an example: which sign stands between
// thousands, which before the decimals, and how many of these.
type numberFormat struct {
	group, point string
	decimals     int
}

func parseNumberFormat(pattern string) (format, string) {
	rest, ok := strings.CutPrefix(pattern, "1")
	f := &numberFormat{}
	if !strings.HasPrefix(rest, "234") {
		for _, g := range []string{",", ".", " ", "\u00a0", "\u202f", "'", "’"} {
			if strings.HasPrefix(rest, g) {
				f.group = g
			}
		}
		rest = strings.TrimPrefix(rest, f.group)
	}
	rest, found := strings.CutPrefix(rest, "234")
	if !ok || !found {
		return nil, numberUsage
	}
	if rest == "" {
		return f, ""
	}
	f.point = rest[:1]
	f.decimals = len(rest) - 1
	if (f.point != "." && f.point != ",") || f.point == f.group || f.decimals < 1 || f.decimals > 6 || !strings.HasPrefix("567890", rest[1:]) {
		return nil, numberUsage
	}
	return f, ""
}

// number is a decimal number as digits, without zeros in front.
type number struct {
	negative        bool
	whole, fraction string
}

// parseNumber reads a value as a number. Where one sign could stand between
// thousands or before decimals, as in 1,234, it does not guess.
func parseNumber(s string) (n number, ok bool) {
	s = strings.TrimSpace(s)
	if rest, found := strings.CutPrefix(s, "-"); found {
		s, n.negative = rest, true
	} else if rest, found := strings.CutPrefix(s, "\u2212"); found {
		s, n.negative = rest, true
	} else {
		s = strings.TrimPrefix(s, "+")
	}
	point := strings.LastIndexAny(s, ".,")
	whole, fraction, sign := s, "", ""
	if point >= 0 {
		whole, fraction, sign = s[:point], s[point+1:], s[point:point+1]
		others := strings.ContainsAny(whole, ".,")
		switch {
		case strings.Contains(whole, sign): // 1,234,567: all of them between thousands
			if strings.ContainsAny(strings.ReplaceAll(whole, sign, ""), ".,") {
				return n, false
			}
			whole, fraction = s, ""
		case !others && len(fraction) == 3 && len(whole) >= 1 && len(whole) <= 3 && whole != "0" && !strings.HasPrefix(whole, "0"):
			return n, false
		}
	}
	if n.whole, ok = groups(whole); !ok || !isDigits(fraction) || n.whole == "" && fraction == "" || len(s) > 60 {
		return n, false
	}
	n.whole, n.fraction = strings.TrimLeft(n.whole, "0"), fraction
	return n, true
}

// groups takes out what stands between thousands: nothing, or one sign before
// each three digits.
func groups(s string) (string, bool) {
	sep := ""
	for _, r := range s {
		if r < '0' || r > '9' {
			sep = string(r)
			break
		}
	}
	if sep == "" {
		return s, true
	}
	if !strings.Contains(",. \u00a0\u202f'’", sep) {
		return "", false
	}
	parts := strings.Split(s, sep)
	for i, p := range parts {
		if !isDigits(p) || len(p) == 0 || len(p) > 3 || i > 0 && len(p) != 3 {
			return "", false
		}
	}
	return strings.Join(parts, ""), true
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// round cuts the fraction to n digits, a half going away from zero.
func (n number) round(digits int) number {
	if len(n.fraction) <= digits {
		n.fraction += strings.Repeat("0", digits-len(n.fraction))
		return n
	}
	up := n.fraction[digits] >= '5'
	all := []byte("0" + n.whole + n.fraction[:digits])
	for i := len(all) - 1; up && i >= 0; i-- {
		if up = all[i] == '9'; up {
			all[i] = '0'
		} else {
			all[i]++
		}
	}
	n.whole, n.fraction = strings.TrimLeft(string(all[:len(all)-digits]), "0"), string(all[len(all)-digits:])
	return n
}

// apply implements format.
func (f *numberFormat) apply(value string) (string, bool) {
	n, ok := parseNumber(value)
	if !ok {
		return value, false
	}
	n = n.round(f.decimals)
	b := make([]byte, 0, 40)
	if n.negative && strings.Trim(n.whole+n.fraction, "0") != "" {
		b = append(b, '-')
	}
	if n.whole == "" {
		n.whole = "0"
	}
	for i := range len(n.whole) {
		if i > 0 && (len(n.whole)-i)%3 == 0 {
			b = append(b, f.group...)
		}
		b = append(b, n.whole[i])
	}
	if f.decimals > 0 {
		b = append(append(b, f.point...), n.fraction...)
	}
	return string(b), true
}
