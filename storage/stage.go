package storage

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gofrs/flock"

	"postroom/post"
)

// importsDir is the folder of staged imports, in the data folder.
const importsDir = "imports"

// The files of a staged import: its lock, and its rows.
const (
	stageLock = ".lock"
	stageRows = ".runs"
)

// runBytes is how many bytes of rows are put in order at once. A variable, so that
// tests come to many runs.
var runBytes = 8 << 20

// stage is a file of rows that are to be taken into the book: runs one behind the
// other, each in order of its rows' keys, written once and then read side by side
// as one order. While a stage is open nobody else touches it.
type stage struct {
	dir   string
	token string
	lock  *flock.Flock
	f     *os.File
	runs  []extent
	size  int64

	run    []byte // the rows of the run that is gathered
	order  []stagedAt
	fields fieldWriter
}

// extent is where a run of a stage lies.
type extent struct{ from, to int64 }

// stagedAt says where a row lies in the run that is gathered.
type stagedAt struct {
	front, second uint64 // the first letters of its key, and the next
	from, to      uint32
}

func stagePath(dir, token, ext string) string {
	return filepath.Join(dir, importsDir, token+ext)
}

// newStage makes an empty stage, with its lock first: a file without a lock
// belongs to nobody.
func newStage(dir string) (*stage, error) {
	if err := os.MkdirAll(filepath.Join(dir, importsDir), 0o700); err != nil {
		return nil, err
	}
	s := &stage{dir: dir, token: randomHex(12)}
	if ok, err := s.tryLock(); err != nil || !ok {
		return nil, errors.Join(errStageTaken, err)
	}
	var err error
	if s.f, err = os.OpenFile(stagePath(dir, s.token, stageRows), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600); err != nil {
		return nil, errors.Join(err, s.lock.Unlock())
	}
	return s, nil
}

var (
	errStageTaken   = errors.New("the staged import is in use")
	errStageDamaged = errors.New("the staged import is damaged")
)

// openStage opens one that was left behind; nil when another process is at it.
func openStage(dir, token string) (*stage, error) {
	s := &stage{dir: dir, token: token}
	if ok, err := s.tryLock(); err != nil || !ok {
		return nil, err
	}
	err := s.open()
	if err != nil {
		return nil, errors.Join(err, s.lock.Unlock())
	}
	return s, nil
}

// open finds the runs of a stage that another process wrote.
func (s *stage) open() (err error) {
	if s.f, err = os.Open(stagePath(s.dir, s.token, stageRows)); err != nil {
		return err
	}
	info, err := s.f.Stat()
	if err != nil {
		return errors.Join(err, s.f.Close())
	}
	for s.size < info.Size() {
		var head [8]byte
		if _, err := s.f.ReadAt(head[:], s.size); err != nil && !errors.Is(err, io.EOF) {
			return errors.Join(err, s.f.Close())
		}
		from, n := s.size+int64(len(head)), int64(binary.BigEndian.Uint64(head[:]))
		if n < 0 || n > info.Size()-from {
			return errors.Join(fmt.Errorf("%w: it ends within a run", errStageDamaged), s.f.Close())
		}
		s.runs = append(s.runs, extent{from, from + n})
		s.size = from + n
	}
	return nil
}

func (s *stage) tryLock() (bool, error) {
	s.lock = flock.New(stagePath(s.dir, s.token, stageLock), flock.SetPermissions(0o600))
	return s.lock.TryLock()
}

// add appends a row.
func (s *stage) add(c post.Contact) error {
	fields, err := s.fields.encode(c.Fields)
	if err != nil {
		return err
	}
	from := len(s.run)
	s.run = appendStaged(s.run, c, fields)
	s.order = append(s.order, stagedAt{front(c.Key), front(c.Key[min(8, len(c.Key)):]), uint32(from), uint32(len(s.run))})
	if len(s.run) < runBytes {
		return nil
	}
	return s.endRun()
}

// endRun writes the rows that were gathered, in order.
func (s *stage) endRun() error {
	if len(s.order) == 0 {
		return nil
	}
	slices.SortFunc(s.order, func(a, b stagedAt) int {
		switch {
		case a.front != b.front:
			return cmp.Compare(a.front, b.front)
		case a.second != b.second:
			return cmp.Compare(a.second, b.second)
		}
		return cmp.Or(bytes.Compare(stagedKey(s.run[a.from:a.to]), stagedKey(s.run[b.from:b.to])), cmp.Compare(a.from, b.from))
	})
	w := bufio.NewWriterSize(s.f, 256<<10)
	var head [8]byte
	binary.BigEndian.PutUint64(head[:], uint64(len(s.run)))
	if _, err := w.Write(head[:]); err != nil {
		return err
	}
	for _, r := range s.order {
		if _, err := w.Write(s.run[r.from:r.to]); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	from := s.size + int64(len(head))
	s.size = from + int64(len(s.run))
	s.runs = append(s.runs, extent{from, s.size})
	s.run, s.order = s.run[:0], s.order[:0]
	return nil
}

// end writes what is left; no more rows are added.
func (s *stage) end() error {
	err := s.endRun()
	s.run, s.order, s.fields = nil, nil, fieldWriter{}
	return err
}

// sync makes the rows durable.
func (s *stage) sync() error {
	if err := s.f.Sync(); err != nil {
		return err
	}
	return syncDir(filepath.Join(s.dir, importsDir))
}

// close gives the stage up; its rows stay.
func (s *stage) close() error {
	return errors.Join(s.f.Close(), s.lock.Unlock())
}

// drop removes it.
func (s *stage) drop() error {
	return errors.Join(s.close(), os.Remove(stagePath(s.dir, s.token, stageRows)), os.Remove(stagePath(s.dir, s.token, stageLock)))
}

// removeStage removes the file of one whose lock is held, but for the lock.
func removeStage(dir, token string) error {
	if err := os.Remove(stagePath(dir, token, stageRows)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// sorted yields the rows behind a key in the order of their keys, and those of one
// key as they were added.
func (s *stage) sorted(after string) iter.Seq2[staged, error] {
	return func(yield func(staged, error) bool) {
		var all merging[*runHead]
		for i, r := range s.runs {
			h := &runHead{number: i, r: bufio.NewReaderSize(io.NewSectionReader(s.f, r.from, r.to-r.from), blockBytes)}
			switch err := h.next(); {
			case err == nil:
				all = append(all, h)
			case !errors.Is(err, io.EOF):
				yield(staged{}, err)
				return
			}
		}
		heap.Init(&all)
		for len(all) > 0 {
			h := all[0]
			if h.row.key > after && !yield(h.row, nil) {
				return
			}
			switch err := h.next(); {
			case err == nil:
				heap.Fix(&all, 0)
			case errors.Is(err, io.EOF):
				heap.Pop(&all)
			default:
				yield(staged{}, err)
				return
			}
		}
	}
}

// blockBytes is how much of a run is taken into memory at once, if no row of it is
// longer. The rows of a block share its text.
const blockBytes = 32 << 10

// runHead is the row at which the reading of a run stands.
type runHead struct {
	number int
	front  uint64
	row    staged
	r      *bufio.Reader
	block  string // what of the next block is not used yet; half a row at its end
	peeked int    // bytes of the whole block, which r gives once more
}

// next goes to the next row; io.EOF behind the last.
func (h *runHead) next() error {
	row, rest, ok := cutPart(h.block)
	if !ok {
		if err := h.read(); err != nil {
			return err
		}
		if row, rest, ok = cutPart(h.block); !ok {
			return fmt.Errorf("%w: it ends within a row", errStageDamaged)
		}
	}
	h.block = rest
	var err error
	h.row, err = parseStaged(row)
	h.front = front(h.row.key)
	return err
}

// read takes in the next block, which begins with a row.
func (h *runHead) read() error {
	if _, err := h.r.Discard(h.peeked - len(h.block)); err != nil {
		return err
	}
	b, err := h.r.Peek(blockBytes)
	if len(b) == 0 || err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	n, used := binary.Uvarint(b)
	switch {
	case used <= 0 || n > maxStaged:
		return fmt.Errorf("%w: a row of %d bytes", errStageDamaged, n)
	case int(n)+used <= len(b):
		h.block, h.peeked = string(b), len(b)
		return nil
	}
	long := make([]byte, int(n)+used)
	if _, err := io.ReadFull(h.r, long); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("%w: it ends within a row", errStageDamaged)
		}
		return err
	}
	h.block, h.peeked = string(long), 0
	return nil
}

func (h *runHead) before(o *runHead) bool {
	if h.front != o.front {
		return h.front < o.front
	}
	if c := strings.Compare(h.row.key, o.row.key); c != 0 {
		return c < 0
	}
	return h.number < o.number
}

// ordered is where the reading of one of several pieces stands.
type ordered[H any] interface{ before(H) bool }

var (
	_ ordered[*runHead]  = (*runHead)(nil)
	_ ordered[*nameHead] = (*nameHead)(nil)
)

// merging is a heap of what is read side by side (container/heap), the least on top.
type merging[H ordered[H]] []H

func (m merging[H]) Len() int           { return len(m) }
func (m merging[H]) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m merging[H]) Less(i, j int) bool { return m[i].before(m[j]) }

func (m *merging[H]) Push(x any) {
	if h, ok := x.(H); ok {
		*m = append(*m, h)
	}
}

func (m *merging[H]) Pop() any {
	old := *m
	last := old[len(old)-1]
	*m = old[:len(old)-1]
	return last
}

// front is the first eight bytes of a text as a number that sorts like it.
func front(s string) uint64 {
	var b [8]byte
	copy(b[:], s)
	return binary.BigEndian.Uint64(b[:])
}

// staged is a contact as it lies in a stage.
type staged struct {
	address, key, name string
	fields             string // as encodeFields writes them
}

func (s staged) contact() (post.Contact, error) {
	fields, err := decodeFields(s.fields)
	return post.Contact{Address: s.address, Key: s.key, Name: s.name, Fields: fields}, err
}

// size is about how many bytes it takes.
func (s staged) size() int { return len(s.key) + len(s.address) + len(s.name) + len(s.fields) }

func stagedOf(c post.Contact) (staged, error) {
	fields, err := encodeFields(c.Fields)
	return staged{c.Address, c.Key, c.Name, fields}, err
}

// searchText is that of the contact; field is told the name of each field, maybe
// more than once.
func (s staged) searchText(field func(name string)) (string, error) {
	// A line break stays alone, so that parts fold as the whole does.
	var room [512]byte
	b := post.AppendFolded(room[:0], s.address)
	b = post.AppendFolded(append(b, '\n'), s.name)
	if s.fields == "{}" || eachPlain(s.fields, func(name, value string) {
		field(name)
		if value != "" {
			b = post.AppendFolded(append(b, '\n'), value)
		}
	}) {
		return string(b), nil
	}
	c, err := s.contact()
	if err != nil {
		return "", fmt.Errorf("read the staged import: %w", err)
	}
	for name := range c.Fields {
		field(name)
	}
	return searchText(c), nil
}

// maxStaged bounds one row: a record of a file is at most 1 MB, as JSON at most six times that.
const maxStaged = 16 << 20

// appendStaged writes a row behind b: its length, and its parts each behind theirs.
func appendStaged(b []byte, c post.Contact, fields []byte) []byte {
	parts := [...]string{c.Key, c.Address, c.Name}
	length := uvarintLen(len(fields)) + len(fields)
	for _, p := range parts {
		length += uvarintLen(len(p)) + len(p)
	}
	b = binary.AppendUvarint(b, uint64(length))
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	b = binary.AppendUvarint(b, uint64(len(fields)))
	return append(b, fields...)
}

func uvarintLen(n int) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

// stagedKey returns the key of a row that was just written.
func stagedKey(row []byte) []byte {
	_, head := binary.Uvarint(row)
	n, used := binary.Uvarint(row[head:])
	return row[head+used : head+used+int(n)]
}

func parseStaged(row string) (staged, error) {
	var parts [4]string
	for i := range parts {
		var ok bool
		if parts[i], row, ok = cutPart(row); !ok {
			return staged{}, fmt.Errorf("%w: it ends within a part of a row", errStageDamaged)
		}
	}
	return staged{key: parts[0], address: parts[1], name: parts[2], fields: parts[3]}, nil
}

// cutPart takes a text off that stands behind its length; not ok where s ends before.
func cutPart(s string) (part, rest string, ok bool) {
	var n uint64
	for i := range min(len(s), binary.MaxVarintLen64) {
		n |= uint64(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			if s = s[i+1:]; n > uint64(len(s)) {
				return "", "", false
			}
			return s[:n], s[n:], true
		}
	}
	return "", "", false
}
