package storage

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"postroom/post"
)

// importsDir is the folder of staged imports, in the data folder.
const importsDir = "imports"

// stage is a file of rows that are to be taken into the book: written once,
// flushed, then read in steps. While it is open nobody else touches it.
type stage struct {
	dir   string
	token string
	lock  *flock.Flock
	file  *os.File
	w     *bufio.Writer
	size  int64
	buf   []byte
}

func stagePath(dir, token, ext string) string {
	return filepath.Join(dir, importsDir, token+ext)
}

// newStage makes an empty stage file, with its lock first: a stage file without
// a lock belongs to nobody.
func newStage(dir string) (*stage, error) {
	if err := os.MkdirAll(filepath.Join(dir, importsDir), 0o700); err != nil {
		return nil, err
	}
	s := &stage{dir: dir, token: randomHex(12)}
	if ok, err := s.tryLock(); err != nil || !ok {
		return nil, errors.Join(errStageTaken, err)
	}
	f, err := os.OpenFile(stagePath(dir, s.token, ".rows"), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, errors.Join(err, s.lock.Unlock())
	}
	s.file, s.w = f, bufio.NewWriterSize(f, 256<<10)
	return s, nil
}

var errStageTaken = errors.New("the staged import is in use")

// openStage opens one that was left behind; nil when another process is at it.
func openStage(dir, token string) (*stage, error) {
	s := &stage{dir: dir, token: token}
	if ok, err := s.tryLock(); err != nil || !ok {
		return nil, err
	}
	f, err := os.Open(stagePath(dir, token, ".rows"))
	if err != nil {
		return nil, errors.Join(err, s.lock.Unlock())
	}
	s.file = f
	return s, nil
}

func (s *stage) tryLock() (bool, error) {
	s.lock = flock.New(stagePath(s.dir, s.token, ".lock"), flock.SetPermissions(0o600))
	return s.lock.TryLock()
}

// add appends a row and returns where it begins.
func (s *stage) add(c post.Contact) (int64, error) {
	fields, err := encodeFields(c.Fields)
	if err != nil {
		return 0, err
	}
	b := s.buf[:0]
	for _, part := range []string{c.Address, c.Key, c.Name, fields} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	s.buf = b
	at := s.size
	var head [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(head[:], uint64(len(b)))
	if _, err := s.w.Write(head[:n]); err != nil {
		return 0, err
	}
	if _, err := s.w.Write(b); err != nil {
		return 0, err
	}
	s.size += int64(n + len(b))
	return at, nil
}

// flush makes the rows durable.
func (s *stage) flush() error {
	if err := s.w.Flush(); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	return syncDir(filepath.Join(s.dir, importsDir))
}

// at reads one row that was added.
func (s *stage) at(offset int64) (post.Contact, error) {
	if err := s.w.Flush(); err != nil {
		return post.Contact{}, err
	}
	r := bufio.NewReaderSize(io.NewSectionReader(s.file, offset, s.size-offset), 4096)
	c, _, err := readStaged(r)
	return c, err
}

// from reads the rows behind an offset, in order.
func (s *stage) from(offset int64) *bufio.Reader {
	return bufio.NewReaderSize(io.NewSectionReader(s.file, offset, 1<<62), 256<<10)
}

// maxStaged bounds one row: a record of a file is at most 1 MB, as JSON at most six times that.
const maxStaged = 16 << 20

// readStaged reads one row and returns how many bytes it took.
func readStaged(r *bufio.Reader) (post.Contact, int64, error) {
	length, err := binary.ReadUvarint(r)
	if err != nil {
		return post.Contact{}, 0, err
	}
	if length > maxStaged {
		return post.Contact{}, 0, fmt.Errorf("a staged row of %d bytes: %w", length, io.ErrUnexpectedEOF)
	}
	b := make([]byte, length)
	if _, err := io.ReadFull(r, b); err != nil {
		return post.Contact{}, 0, err
	}
	size := int64(length) + int64(len(binary.AppendUvarint(nil, length)))
	var parts [4]string
	for i := range parts {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return post.Contact{}, 0, fmt.Errorf("a staged row: %w", io.ErrUnexpectedEOF)
		}
		parts[i] = string(b[used : used+int(n)])
		b = b[used+int(n):]
	}
	fields, err := decodeFields(parts[3])
	return post.Contact{Address: parts[0], Key: parts[1], Name: parts[2], Fields: fields}, size, err
}

// close gives the stage up; the files stay.
func (s *stage) close() error { return errors.Join(s.file.Close(), s.lock.Unlock()) }

// mergedExt is the file of people with several rows, as they are after the last
// one read: it is needed while rows are counted, and never again.
const mergedExt = ".merged"

func (s *stage) scratch() (*stage, error) {
	f, err := os.OpenFile(stagePath(s.dir, s.token, mergedExt), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return &stage{dir: s.dir, token: s.token, file: f, w: bufio.NewWriterSize(f, 64<<10)}, nil
}

func (s *stage) dropScratch() error {
	return errors.Join(s.file.Close(), os.Remove(stagePath(s.dir, s.token, mergedExt)))
}

// drop removes it.
func (s *stage) drop() error {
	return errors.Join(s.file.Close(), os.Remove(stagePath(s.dir, s.token, ".rows")), s.lock.Unlock(), os.Remove(stagePath(s.dir, s.token, ".lock")))
}
