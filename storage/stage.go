package storage

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/gofrs/flock"

	"postroom/post"
)

// importsDir is the folder of staged imports, in the data folder.
const importsDir = "imports"

// The files of a staged import: the rows as they were read, which nobody needs
// when the process ends, and the people that came of them, in order of their
// keys, which are taken into the book.
const (
	stageLock   = ".lock"
	stageRead   = ".read"
	stagePeople = ".rows"
)

// stage is a file of rows that are to be taken into the book: written once, put
// in order, flushed, then read in steps. While it is open nobody else touches it.
type stage struct {
	dir   string
	token string
	lock  *flock.Flock
	seed  maphash.Seed
	read  *stageFile // nil when the people stand
	rows  []stageRow
	out   *stageFile // nil until there are people
}

// stageRow says where a row begins. Rows are sorted by the front of their key,
// so that most indexes of the book are written from left to right; those of one
// person stand together, in the order of the file.
type stageRow struct {
	front, more uint64
	hash        uint64
	at          int64
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
	s := &stage{dir: dir, token: randomHex(12), seed: maphash.MakeSeed()}
	if ok, err := s.tryLock(); err != nil || !ok {
		return nil, errors.Join(errStageTaken, err)
	}
	var err error
	if s.read, err = newStageFile(stagePath(dir, s.token, stageRead)); err != nil {
		return nil, errors.Join(err, s.lock.Unlock())
	}
	return s, nil
}

var errStageTaken = errors.New("the staged import is in use")

// openStage opens one that was left behind; nil when another process is at it.
func openStage(dir, token string) (*stage, error) {
	s := &stage{dir: dir, token: token}
	if ok, err := s.tryLock(); err != nil || !ok {
		return nil, err
	}
	f, err := os.Open(stagePath(dir, token, stagePeople))
	if err != nil {
		return nil, errors.Join(err, s.lock.Unlock())
	}
	s.out = &stageFile{f: f}
	return s, nil
}

func (s *stage) tryLock() (bool, error) {
	s.lock = flock.New(stagePath(s.dir, s.token, stageLock), flock.SetPermissions(0o600))
	return s.lock.TryLock()
}

// add appends a row.
func (s *stage) add(c post.Contact) error {
	fields, err := encodeFields(c.Fields)
	if err != nil {
		return err
	}
	at := s.read.size
	if err := s.read.write(staged{c.Address, c.Key, c.Name, fields}); err != nil {
		return err
	}
	var front [16]byte
	copy(front[:], c.Key)
	s.rows = append(s.rows, stageRow{
		binary.BigEndian.Uint64(front[:8]), binary.BigEndian.Uint64(front[8:]), maphash.String(s.seed, c.Key), at,
	})
	return nil
}

// sort puts the rows in order; no more are added.
func (s *stage) sort() error {
	slices.SortFunc(s.rows, func(a, b stageRow) int {
		switch {
		case a.front != b.front:
			return cmp.Compare(a.front, b.front)
		case a.more != b.more:
			return cmp.Compare(a.more, b.more)
		case a.hash != b.hash:
			return cmp.Compare(a.hash, b.hash)
		}
		return cmp.Compare(a.at, b.at)
	})
	return s.read.w.Flush()
}

// makePeople begins the file of people.
func (s *stage) makePeople() (err error) {
	s.out, err = newStageFile(stagePath(s.dir, s.token, stagePeople))
	return err
}

// flush makes the people durable, and gives up the rows that they came of.
func (s *stage) flush() error {
	if err := s.out.w.Flush(); err != nil {
		return err
	}
	if err := s.out.f.Sync(); err != nil {
		return err
	}
	if err := s.dropRead(); err != nil {
		return err
	}
	return syncDir(filepath.Join(s.dir, importsDir))
}

func (s *stage) dropRead() error {
	if s.read == nil {
		return nil
	}
	err := errors.Join(s.read.f.Close(), os.Remove(stagePath(s.dir, s.token, stageRead)))
	s.read, s.rows = nil, nil
	return err
}

// close gives the stage up; the people stay.
func (s *stage) close() error {
	err := s.dropRead()
	if s.out != nil {
		err = errors.Join(err, s.out.f.Close())
	}
	return errors.Join(err, s.lock.Unlock())
}

// drop removes it.
func (s *stage) drop() error {
	had := s.out != nil
	err := s.close()
	if had {
		err = errors.Join(err, os.Remove(stagePath(s.dir, s.token, stagePeople)))
	}
	return errors.Join(err, os.Remove(stagePath(s.dir, s.token, stageLock)))
}

// removeStage removes the files of one whose lock is held, but for the lock.
func removeStage(dir, token string) error {
	var errs []error
	for _, ext := range []string{stageRead, stagePeople} {
		if err := os.Remove(stagePath(dir, token, ext)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
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

func stagedOf(c post.Contact) (staged, error) {
	fields, err := encodeFields(c.Fields)
	return staged{c.Address, c.Key, c.Name, fields}, err
}

// stageFile is a file of staged contacts.
type stageFile struct {
	f    *os.File
	w    *bufio.Writer
	size int64
	buf  []byte
}

func newStageFile(path string) (*stageFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return &stageFile{f: f, w: bufio.NewWriterSize(f, 256<<10)}, nil
}

// maxStaged bounds one row: a record of a file is at most 1 MB, as JSON at most six times that.
const maxStaged = 16 << 20

func (f *stageFile) write(s staged) error {
	b := f.buf[:0]
	b = append(b, make([]byte, binary.MaxVarintLen64)...) // the length comes here
	for _, part := range [...]string{s.address, s.key, s.name, s.fields} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	f.buf = b
	var head [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(head[:], uint64(len(b)-binary.MaxVarintLen64))
	from := binary.MaxVarintLen64 - n
	copy(b[from:], head[:n])
	f.size += int64(len(b) - from)
	_, err := f.w.Write(b[from:])
	return err
}

// at reads one row; what was written must have been flushed.
func (f *stageFile) at(offset int64) (staged, error) {
	const most = 1024 // most rows are shorter
	if cap(f.buf) < most {
		f.buf = make([]byte, most)
	}
	b := f.buf[:most]
	n, err := f.f.ReadAt(b, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return staged{}, err
	}
	length, used := binary.Uvarint(b[:n])
	if used <= 0 || length > maxStaged {
		return staged{}, fmt.Errorf("a staged row: %w", io.ErrUnexpectedEOF)
	}
	if used+int(length) <= n {
		return parseStaged(b[used : used+int(length)])
	}
	b = make([]byte, length)
	if _, err := f.f.ReadAt(b, offset+int64(used)); err != nil {
		return staged{}, err
	}
	return parseStaged(b)
}

// from reads the rows behind an offset, in order.
func (f *stageFile) from(offset int64) *bufio.Reader {
	return bufio.NewReaderSize(io.NewSectionReader(f.f, offset, math.MaxInt64-offset), 256<<10)
}

// nextStaged reads one row into buf, which grows, and returns how many bytes it took.
func nextStaged(r *bufio.Reader, buf *[]byte) (staged, int64, error) {
	length, err := binary.ReadUvarint(r)
	if err != nil {
		return staged{}, 0, err
	}
	if length > maxStaged {
		return staged{}, 0, fmt.Errorf("a staged row of %d bytes: %w", length, io.ErrUnexpectedEOF)
	}
	if uint64(cap(*buf)) < length {
		*buf = make([]byte, length)
	}
	b := (*buf)[:length]
	if _, err := io.ReadFull(r, b); err != nil {
		return staged{}, 0, err
	}
	var head [binary.MaxVarintLen64]byte
	s, err := parseStaged(b)
	return s, int64(length) + int64(binary.PutUvarint(head[:], length)), err
}

func parseStaged(b []byte) (staged, error) {
	all := string(b) // the parts share it
	var parts [4]string
	from := 0
	for i := range parts {
		n, used := binary.Uvarint(b[from:])
		if used <= 0 || n > uint64(len(b)-from-used) {
			return staged{}, fmt.Errorf("a staged row: %w", io.ErrUnexpectedEOF)
		}
		from += used
		parts[i] = all[from : from+int(n)]
		from += int(n)
	}
	return staged{parts[0], parts[1], parts[2], parts[3]}, nil
}
