package contacts

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"postroom/post"
)

// Limits of a file; beyond them the whole file is refused.
const (
	MaxFile    = 200 << 20 // bytes
	MaxColumns = 256
	MaxRows    = 2_000_000 // data rows
)

const sampleSize = 256 << 10 // bytes of decoded text that recognition looks at

// kind is the form in which a file holds its rows.
type kind uint8

const (
	kindText  kind = iota // delimited text, or a plain list of addresses
	kindBook              // an XLSX workbook
	kindCards             // vCards
)

// source is one file on disk that was looked through once. It keeps no handle.
type source struct {
	path    string
	info    fs.FileInfo
	sum     uint32 // of all bytes
	kind    kind
	charset charset // of text; empty for a workbook
	guessed bool    // the bytes are not UTF-8 and nothing declares what they are
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// openSource reads the file through, and refuses what is no table of text.
func openSource(ctx context.Context, path string, o Options) (*source, error) {
	var wanted charset
	if o.Encoding != "" {
		var ok bool
		if wanted, ok = findCharset(o.Encoding); !ok {
			return nil, refuse("contacts.no_such_encoding", "the encoding "+strconv.Quote(o.Encoding)+" is not known; these are: "+strings.Join(Encodings(), ", "), o.Encoding, strings.Join(Encodings(), ", "))
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, refuse("contacts.not_a_file", "this is not a file", filepath.Base(path))
	case info.Size() == 0:
		return nil, refuse("contacts.empty_file", "the file is empty", filepath.Base(path))
	case info.Size() > MaxFile:
		return nil, refuse("contacts.file_too_large", "the file is larger than 200 MB", filepath.Base(path), strconv.Itoa(MaxFile>>20))
	}
	s := &source{path: path, info: info}
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close()
	head := make([]byte, 4096)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, unreadable(path, err)
	}
	head = head[:n]
	switch isBook, err := looksLikeBook(f, info.Size(), head); {
	case err != nil:
		return nil, err
	case isBook:
		s.kind = kindBook
	default:
		if err := checkMagic(head); err != nil {
			return nil, err
		}
	}
	sum := crc32.New(castagnoli)
	count, err := countText(ctx, io.TeeReader(io.MultiReader(bytes.NewReader(head), f), sum))
	if err != nil {
		return nil, asRefusal(path, err)
	}
	s.sum = sum.Sum32()
	switch {
	case s.kind == kindBook:
		return s, nil
	case wanted != "":
		s.charset = wanted
		return s, nil
	}
	if err := s.findCharset(count, head); err != nil {
		return nil, asRefusal(path, err)
	}
	return s, nil
}

// findCharset decides how the bytes become text. A byte order mark is a
// declaration. Bytes that are not UTF-8 are something older, unless nearly
// everything beyond ASCII is good UTF-8: then it is UTF-8 with a few damaged places.
func (s *source) findCharset(count textCount, head []byte) (err error) {
	unmarked, isUTF16 := unmarkedUTF16(head)
	switch {
	case bytes.HasPrefix(head, []byte{0xFF, 0xFE}):
		s.charset = utf16LE
	case bytes.HasPrefix(head, []byte{0xFE, 0xFF}):
		s.charset = utf16BE
	case isUTF16:
		s.charset, s.guessed = unmarked, true
	case count.invalid == 0, count.wide > 10*count.invalid:
		s.charset = utf8Text
	default:
		s.guessed = true
		s.charset, err = detectCharset(s.path)
	}
	return err
}

// textCount is what the first pass saw.
type textCount struct {
	wide    int64 // characters of more than one byte, in valid UTF-8
	invalid int64 // bytes that are no UTF-8
}

func countText(ctx context.Context, r io.Reader) (c textCount, err error) {
	buf := make([]byte, 256<<10)
	kept := 0 // bytes of an unfinished character, at the front of buf
	for {
		if err := ctx.Err(); err != nil {
			return c, err
		}
		n, rerr := io.ReadFull(r, buf[kept:])
		last := errors.Is(rerr, io.EOF) || errors.Is(rerr, io.ErrUnexpectedEOF)
		if rerr != nil && !last {
			return c, rerr
		}
		rest := c.add(buf[:kept+n], last)
		if last {
			return c, nil
		}
		kept = copy(buf, rest)
	}
}

// add counts p and returns an unfinished character at its end, unless last.
func (c *textCount) add(p []byte, last bool) (rest []byte) {
	const beyond = 0x80_80_80_80_80_80_80_80 // the bit that ASCII lacks, in eight bytes
	for len(p) > 0 {
		if len(p) >= 8 && binary.LittleEndian.Uint64(p)&beyond == 0 {
			p = p[8:]
			continue
		}
		if p[0] < utf8.RuneSelf {
			p = p[1:]
			continue
		}
		if !last && !utf8.FullRune(p) {
			return p
		}
		r, n := utf8.DecodeRune(p)
		if r == utf8.RuneError && n == 1 {
			c.invalid++
		} else {
			c.wide++
		}
		p = p[n:]
	}
	return nil
}

// reading is one pass over a source: the decoded text, and the means to tell
// at its end whether the file is still the one that was looked through.
type reading struct {
	io.Reader // decoded, without a byte order mark
	src       *source
	file      *os.File
	sum       hash.Hash32
	done      int64 // raw bytes read
}

func (s *source) read() (*reading, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return nil, unreadable(s.path, err)
	}
	r := &reading{src: s, file: f, sum: crc32.New(castagnoli)}
	raw := io.Reader(rawReader{r})
	r.Reader = s.charset.decoder(raw)
	return r, nil
}

// rawReader counts and sums what a reading takes from its file, and stops
// where the file ended when it was first looked through.
type rawReader struct{ *reading }

func (r rawReader) Read(p []byte) (int, error) {
	left := r.src.info.Size() - r.done
	if left <= 0 {
		return 0, io.EOF
	}
	n, err := r.file.Read(p[:min(int64(len(p)), left)])
	r.done += int64(n)
	_, _ = r.sum.Write(p[:n]) // a hash never fails
	return n, err
}

// progress returns how many bytes of the file were read.
func (r *reading) progress() int64 { return r.done }

// unchanged reports whether the whole file was read and is what it was. It is
// asked at the end of a pass, before anything that was read may count.
func (r *reading) unchanged() error {
	now, err := os.Stat(r.src.path)
	if err != nil {
		return unreadable(r.src.path, err)
	}
	was := r.src.info
	if r.done != was.Size() || r.sum.Sum32() != r.src.sum ||
		now.Size() != was.Size() || !now.ModTime().Equal(was.ModTime()) || !os.SameFile(now, was) {
		return refuse("contacts.file_changed", "the file was changed while it was read; nothing was taken from it", filepath.Base(r.src.path))
	}
	return nil
}

func (r *reading) Close() error { return r.file.Close() }

// markSkipper drops a UTF-8 byte order mark (RFC 3629 6).
type markSkipper struct {
	r    io.Reader
	done bool
}

func (m *markSkipper) Read(p []byte) (int, error) {
	if m.done || len(p) < 3 {
		return m.r.Read(p)
	}
	m.done = true
	n, err := io.ReadFull(m.r, p[:3])
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil // the next read says io.EOF
	}
	if bytes.Equal(p[:n], []byte("\xEF\xBB\xBF")) {
		return 0, err
	}
	return n, err
}

// sample returns the beginning of the text; whole is true when that is all.
func (s *source) sample() (text []byte, whole bool, err error) {
	r, err := s.read()
	if err != nil {
		return nil, false, err
	}
	defer r.Close()
	text, err = io.ReadAll(io.LimitReader(r, sampleSize+1))
	if err != nil {
		return nil, false, unreadable(s.path, err)
	}
	if len(text) > sampleSize {
		return text[:sampleSize], false, nil
	}
	return text, true, nil
}

// refuse is a file that is not taken, for a reason that its owner can mend.
func refuse(key, message string, args ...string) *post.Error {
	return &post.Error{Kind: post.KindInvalid, Message: message, Reason: post.Reason{Key: key, Args: args}}
}

func unreadable(path string, err error) *post.Error {
	kind := post.KindInvalid
	if errors.Is(err, fs.ErrNotExist) {
		kind = post.KindNotFound
	}
	return &post.Error{
		Kind: kind, Message: "the file cannot be read",
		Reason: post.Reason{Key: "contacts.unreadable", Args: []string{filepath.Base(path)}}, Err: err,
	}
}

// asRefusal gives err the words of this package, unless it has words already.
func asRefusal(path string, err error) error {
	var pe *post.Error
	switch {
	case errors.As(err, &pe):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &post.Error{Kind: post.KindCancelled, Message: "stopped; nothing was changed", Reason: post.Reason{Key: "contacts.cancelled"}, Err: err}
	default:
		return unreadable(path, err)
	}
}

func tooManyColumns(row int64) *post.Error {
	return refuse("contacts.too_many_columns", "row "+strconv.FormatInt(row, 10)+" has more than 256 columns", strconv.FormatInt(row, 10), strconv.Itoa(MaxColumns))
}
