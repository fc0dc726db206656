package contacts

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/wlynxg/chardet"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	utf "golang.org/x/text/encoding/unicode"
)

// charset is how a file's bytes become text.
type charset string

const (
	utf8Text    charset = "UTF-8"
	utf16LE     charset = "UTF-16LE"
	utf16BE     charset = "UTF-16BE"
	gb18030     charset = "GB18030"
	big5        charset = "Big5"
	shiftJIS    charset = "Shift_JIS"
	windows1252 charset = "Windows-1252"
)

// encodings are those of charset, but for UTF-8, which needs none.
var encodings = map[charset]encoding.Encoding{
	utf16LE:  utf.UTF16(utf.LittleEndian, utf.UseBOM),
	utf16BE:  utf.UTF16(utf.BigEndian, utf.UseBOM),
	gb18030:  simplifiedchinese.GB18030,
	big5:     traditionalchinese.Big5,
	shiftJIS: japanese.ShiftJIS,

	"Windows-1250": charmap.Windows1250,
	"Windows-1251": charmap.Windows1251,
	windows1252:    charmap.Windows1252,
	"Windows-1253": charmap.Windows1253,
	"Windows-1254": charmap.Windows1254,
	"Windows-1255": charmap.Windows1255,
	"Windows-1256": charmap.Windows1256,
	"Windows-1257": charmap.Windows1257,
	"Windows-1258": charmap.Windows1258,
}

// alsoCalled are other names of encodings, as charsetKey writes them. The sets
// of ISO 8859 are read as the Windows ones that contain them, as browsers do.
var alsoCalled = map[string]charset{
	"utf16": utf16LE, "unicode": utf16LE,
	"gbk": gb18030, "gb2312": gb18030, "cp936": gb18030, "hzgb2312": gb18030,
	"big5hkscs": big5, "cp950": big5, "sjis": shiftJIS, "cp932": shiftJIS, "windows31j": shiftJIS,
	"iso88591": windows1252, "latin1": windows1252, "iso885915": windows1252, "ascii": windows1252, "usascii": windows1252,
	"iso88592": "Windows-1250", "iso88597": "Windows-1253", "iso88598": "Windows-1255", "iso88599": "Windows-1254",
	"iso88596": "Windows-1256", "iso885913": "Windows-1257",
}

func charsetKey(name string) string {
	return strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(name))
}

// Encodings names what Options.Encoding may be, in alphabetical order.
func Encodings() []string {
	names := []string{string(utf8Text)}
	for c := range encodings {
		names = append(names, string(c))
	}
	slices.Sort(names)
	return names
}

// findCharset resolves a name that a person or a file gave.
func findCharset(name string) (charset, bool) {
	key := charsetKey(name)
	for _, c := range Encodings() {
		if k := charsetKey(c); k == key || k == "windows"+strings.TrimPrefix(key, "cp") {
			return charset(c), true
		}
	}
	c, ok := alsoCalled[key]
	return c, ok
}

// decoder returns r as UTF-8 without a byte order mark.
func (c charset) decoder(r io.Reader) io.Reader {
	if e := encodings[c]; e != nil {
		return e.NewDecoder().Reader(r)
	}
	return &markSkipper{r: r}
}

// unmarkedUTF16 recognises UTF-16 without a byte order mark: a table of
// addresses has at least delimiters, dots and line ends, whose one byte is zero.
func unmarkedUTF16(head []byte) (charset, bool) {
	var even, odd int
	pairs := len(head) / 2
	for i := range pairs {
		if head[2*i] == 0 {
			even++
		}
		if head[2*i+1] == 0 {
			odd++
		}
	}
	switch {
	case pairs < 4:
		return "", false
	case odd*10 > pairs && even*50 <= odd:
		return utf16LE, true
	case even*10 > pairs && odd*50 <= even:
		return utf16BE, true
	}
	return "", false
}

const (
	detectRead = 8 << 20  // bytes that are looked through for letters
	detectText = 64 << 10 // bytes of lines with letters that are judged
)

// detectCharset guesses the encoding of text that is not UTF-8, by the lines
// that hold letters beyond ASCII. What fits nothing is Windows-1252, which has
// a letter for nearly every byte.
func detectCharset(path string) (charset, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines, err := letterLines(f)
	if err != nil {
		return "", err
	}
	single := isSingleByte(lines)
	for _, r := range chardet.DetectAll(lines) {
		c, ok := findCharset(r.Encoding)
		if !ok || c == utf8Text || c == utf16LE || c == utf16BE || r.Confidence < 0.1 {
			continue
		}
		double := c == gb18030 || c == big5 || c == shiftJIS
		if double && single || !c.fits(lines) {
			continue
		}
		return c, nil
	}
	if !single {
		for _, c := range []charset{gb18030, big5, shiftJIS} {
			if c.fits(lines) {
				return c, nil
			}
		}
	}
	return windows1252, nil
}

func letterLines(r io.Reader) ([]byte, error) {
	var lines []byte
	in := bufio.NewReaderSize(io.LimitReader(r, detectRead), 64<<10)
	for len(lines) < detectText {
		line, err := in.ReadSlice('\n')
		if bytes.IndexFunc(line, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 {
			lines = append(lines, line...)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return lines, err
		}
	}
	return lines, nil
}

// isSingleByte reports text whose letters beyond ASCII mostly stand alone or
// are such as no double-byte text has so many of: "Köhler" has one between
// ASCII letters, while Chinese comes in pairs.
func isSingleByte(text []byte) bool {
	alone, paired := 0, 0
	for i := 0; i < len(text); i++ {
		if text[i] < utf8.RuneSelf {
			continue
		}
		run := i
		for run < len(text) && text[run] >= utf8.RuneSelf {
			run++
		}
		if run-i == 1 && text[i] >= 0xA0 {
			alone++
		} else {
			paired += run - i
		}
		i = run
	}
	return alone > paired
}

// fits reports that text of this encoding decodes without damage.
func (c charset) fits(text []byte) bool {
	out, err := encodings[c].NewDecoder().Bytes(text)
	if err != nil {
		return false
	}
	bad := bytes.Count(out, []byte("\uFFFD"))
	for _, r := range string(out) {
		if r >= 0x80 && unicode.IsControl(r) || unicode.Is(unicode.Co, r) {
			bad++
		}
	}
	return bad == 0 || bad*200 < len(out)
}
