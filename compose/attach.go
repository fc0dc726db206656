package compose

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"postroom/post"
)

// MaxMessage is how long a whole message may be as it goes over the wire, in
// bytes.
const MaxMessage = 50 << 20

// maxFileName is how long a file's name may be in a message, in bytes.
const maxFileName = 150

// Blobs is where frozen files are read from.
type Blobs interface {
	// Open opens the content with a hash (SHA-256, lower-case hex). The
	// caller closes it.
	Open(sha256 string) (io.ReadCloser, error)
}

// file is an attachment as it stands in messages.
type file struct {
	head []byte // the part's header fields and the empty line
	// name is what it is called where that differs by recipient: head then
	// ends where the name belongs.
	name *program
	cid  string
	body []byte // base64 in lines of 76, without a line end after the last; shared, never changed
}

// openAttachment opens an attachment: frozen content by its hash, a draft's by
// its path.
func openAttachment(a post.Attachment, blobs Blobs) (io.ReadCloser, error) {
	if a.SHA256 == "" {
		return openFile(a.Path)
	}
	if blobs == nil {
		return nil, post.Errorf(post.KindInternal, "open "+a.Name, "there is no place to read frozen files from")
	}
	return blobs.Open(a.SHA256)
}

// openFile opens a regular file; a pipe or device could hang.
func openFile(name string) (io.ReadCloser, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", name)
	}
	return os.Open(name)
}

// loadFile reads and encodes an attachment. name is given where what it is
// called differs by recipient.
func loadFile(a post.Attachment, blobs Blobs, name *program) (file, error) {
	fail := func(err error) (file, error) {
		return file{}, &post.Error{
			Kind: post.KindNotFound, Op: "attach " + CleanFileName(a.Name), Message: "the file cannot be read", Err: err,
			Reason: post.Reason{Key: "compose.file-unreadable", Args: []string{a.Name}},
		}
	}
	r, err := openAttachment(a, blobs)
	if err != nil {
		return fail(err)
	}
	defer r.Close()
	body, first, sum, err := encodeLines(r)
	if err != nil {
		return fail(err)
	}
	if a.SHA256 != "" && a.SHA256 != sum {
		return fail(fmt.Errorf("its content is not what was frozen (%s)", a.SHA256))
	}
	if name != nil {
		return file{head: attachmentStart(a, first), name: name, body: body}, nil
	}
	return file{head: attachmentHead(a, first), cid: a.CID, body: body}, nil
}

// encodeLines encodes r as base64 in lines of 76 columns (RFC 2045 6.8) and
// returns also its first bytes and its SHA-256.
func encodeLines(r io.Reader) (body, first []byte, sum string, err error) {
	const line, lines = 57, 1024
	hash := sha256.New()
	buf := make([]byte, line*lines)
	for {
		n, err := io.ReadFull(r, buf)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return nil, nil, "", err
		}
		hash.Write(buf[:n])
		if first == nil {
			first = bytes.Clone(buf[:min(n, 512)])
		}
		for rest := buf[:n]; len(rest) > 0; {
			k := min(line, len(rest))
			if len(body) > 0 {
				body = append(body, '\r', '\n')
			}
			body = base64.StdEncoding.AppendEncode(body, rest[:k])
			rest = rest[k:]
		}
		if len(body) > MaxMessage {
			return nil, nil, "", tooLarge("")
		}
		if err != nil {
			return bytes.Clone(body), first, hex.EncodeToString(hash.Sum(nil)), nil
		}
	}
}

func tooLarge(name string) error {
	return &post.Error{
		Kind: post.KindInvalid, Op: "attach", Message: fmt.Sprintf("the message would be larger than %d MB", MaxMessage>>20),
		Reason: post.Reason{Key: "compose.too-large", Args: []string{name, strconv.Itoa(MaxMessage >> 20)}},
	}
}

// nameSource is the name of a file for everybody, as it is merged. A file that
// happens to have braces in its name means these.
func nameSource(a *post.Attachment) string {
	if a.Path != "" && a.Name == filepath.Base(a.Path) {
		return literalBraces(CleanFileName(a.Name))
	}
	return a.Name
}

// attachmentHead makes the header fields of an attachment's part. The name is
// given once, as RFC 2231 has it: a second spelling for older readers is what
// strict ones call a defect.
func attachmentHead(a post.Attachment, first []byte) []byte {
	b := appendFileName(attachmentStart(a, first), CleanFileName(a.Name))
	if a.CID != "" {
		b = append(append(append(b, "\r\nContent-ID: <"...), a.CID...), '>')
	}
	return append(b, "\r\n\r\n"...)
}

// attachmentStart is an attachmentHead without the name.
func attachmentStart(a post.Attachment, first []byte) []byte {
	mediaType := a.Type
	if !isAttachable(mediaType) {
		name, _ := protect(a.Name) // a tag is no extension
		mediaType = MediaType(name, first)
	}
	b := []byte("Content-Type: ")
	b = append(b, mediaType...)
	b = append(b, "\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: "...)
	if a.CID != "" {
		return append(b, "inline"...)
	}
	return append(b, "attachment"...)
}

// appendFileName appends the filename parameter on lines of its own.
func appendFileName(b []byte, name string) []byte {
	const most = 50 // columns of a value on one line
	if len(name) <= most && isASCII(name) && !strings.ContainsAny(name, `"\%`) {
		return append(append(append(b, ";\r\n filename=\""...), name...), '"')
	}
	var pieces []string
	for name != "" {
		var p strings.Builder
		n := 0
		for _, r := range name {
			c := percent(string(r))
			if p.Len()+len(c) > most {
				break
			}
			p.WriteString(c)
			n += len(string(r))
		}
		pieces = append(pieces, p.String())
		name = name[n:]
	}
	if len(pieces) == 1 {
		return append(append(b, ";\r\n filename*=UTF-8''"...), pieces[0]...)
	}
	for i, p := range pieces {
		b = append(strconv.AppendInt(append(b, ";\r\n filename*"...), int64(i), 10), "*="...)
		if i == 0 {
			b = append(b, "UTF-8''"...)
		}
		b = append(b, p...)
	}
	return b
}

// percent encodes all but the plainest characters (RFC 2231 7, attribute-char).
func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hexDigits[c>>4])
		b.WriteByte(hexDigits[c&15])
	}
	return b.String()
}

var reservedFileNames = map[string]bool{
	"con": true, "prn": true, "aux": true, "nul": true, "conin$": true, "conout$": true,
}

func init() {
	for i := '0'; i <= '9'; i++ {
		reservedFileNames["com"+string(i)] = true
		reservedFileNames["lpt"+string(i)] = true
	}
}

// CleanFileName makes a name that every reader's system can save under: the
// base name only, in NFC, without control and invisible characters, without
// what Windows reserves, no dots or spaces at the end, at most 150 bytes with
// the extension kept. What nothing is left of becomes "attachment".
func CleanFileName(name string) string {
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	name = norm.NFC.String(strings.ToValidUTF8(name, "_"))
	name = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == '\u2028', r == '\u2029':
			return -1
		case strings.ContainsRune(`<>:"|?*`, r):
			return '_'
		case unicode.IsSpace(r):
			return ' '
		}
		return r
	}, name)
	name = strings.TrimRight(strings.TrimSpace(name), ". ")
	ext := path.Ext(name)
	if len(ext) > 20 || ext == name {
		ext = ""
	}
	stem := strings.TrimSuffix(name, ext)
	if device, _, _ := strings.Cut(strings.ToLower(stem), "."); reservedFileNames[strings.TrimSpace(device)] {
		stem = "_" + stem
	}
	stem = strings.TrimRight(cutAtRune(stem, maxFileName-len(ext)), ". ")
	if stem == "" {
		stem = "attachment"
	}
	return stem + ext
}

// officeTypes are the media types of the files of daily work that their first
// bytes do not tell apart: zip archives, plain text, old binary formats.
var officeTypes = map[string]string{
	".pdf":  "application/pdf",
	".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	".doc":  "application/msword",
	".xls":  "application/vnd.ms-excel",
	".ppt":  "application/vnd.ms-powerpoint",
	".odt":  "application/vnd.oasis.opendocument.text",
	".ods":  "application/vnd.oasis.opendocument.spreadsheet",
	".odp":  "application/vnd.oasis.opendocument.presentation",
	".csv":  "text/csv",
	".tsv":  "text/tab-separated-values",
	".ics":  "text/calendar",
	".vcf":  "text/vcard",
	".rtf":  "application/rtf",
	".json": "application/json",
	".svg":  "image/svg+xml",
}

// MediaType finds a file's media type by its first bytes (512 are enough) and,
// where these leave it open, by the extension of its name. A name that claims
// what the bytes deny is not believed.
func MediaType(name string, first []byte) string {
	found := http.DetectContentType(first)
	byName := officeTypes[strings.ToLower(path.Ext(name))]
	base, _, _ := strings.Cut(found, ";")
	switch base {
	case "application/octet-stream":
		if byName != "" && !strings.HasPrefix(byName, "text/") && byName != "application/pdf" {
			return byName
		}
	case "application/zip":
		if strings.HasPrefix(byName, "application/vnd.o") {
			return byName
		}
	case "text/plain":
		if strings.HasPrefix(byName, "text/") || byName == "application/json" || byName == "application/rtf" || byName == "image/svg+xml" {
			return byName
		}
	case "text/xml":
		if byName == "image/svg+xml" {
			return byName
		}
	}
	return found
}

// isAttachable reports whether s is a media type that may stand at a base64
// part: RFC 2046 5.2.1 and RFC 2045 6.4 forbid that for message and multipart.
func isAttachable(s string) bool {
	t, _, err := mime.ParseMediaType(s)
	return err == nil && strings.Count(t, "/") == 1 && isASCII(s) && len(s) <= 120 && !strings.ContainsAny(s, "\r\n") &&
		!strings.HasPrefix(t, "message/") && !strings.HasPrefix(t, "multipart/")
}

// maxKept is how many bytes of recipients' own files are kept encoded, for
// those that several rows share.
const maxKept = 16 << 20

// ownFiles encodes recipients' own files and keeps the latest few. Safe for
// concurrent use.
type ownFiles struct {
	blobs Blobs
	mu    sync.Mutex
	kept  map[string]file
	order []string
	size  int
}

func (o *ownFiles) get(a post.Attachment) (file, error) {
	key := a.SHA256 + "\x00" + a.Name + "\x00" + a.Type
	if a.SHA256 != "" {
		o.mu.Lock()
		f, ok := o.kept[key]
		o.mu.Unlock()
		if ok {
			return f, nil
		}
	}
	f, err := loadFile(a, o.blobs, nil)
	if err != nil || a.SHA256 == "" || len(f.body) > maxKept/4 {
		return f, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.kept[key]; ok {
		return f, nil
	}
	if o.kept == nil {
		o.kept = map[string]file{}
	}
	o.kept[key] = f
	o.order = append(o.order, key)
	o.size += len(f.body)
	for o.size > maxKept {
		o.size -= len(o.kept[o.order[0]].body)
		delete(o.kept, o.order[0])
		o.order = o.order[1:]
	}
	return f, nil
}
