package mailer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"postroom/post"
)

// markName is the progress mark's file in the data folder.
const markName = "mailer.mark"

// maxWindow is how many messages of one lane the mark can name; the last place
// is for the one that is being rendered.
const maxWindow = 32

// mostAhead is the most messages whose intents are written in one commit. One
// more may still be at hand then, so at most 31 of a lane are in doubt.
const mostAhead = maxWindow - 2

// The mark's layout, little-endian: a header of 64 bytes (magic, instance, boot
// id), then a slot per lane of maxWindow entries of 16 bytes: the delivery's id,
// then the code of the reply to its dot, 0 while there is none, or markRender
// while it is being rendered.
const (
	markMagic  = "PSTRMK01"
	markHeader = 64
	markEntry  = 16
	markSlot   = maxWindow * markEntry
	markRender = -1
)

// mark is the cheap progress mark: which messages of each lane's intent window
// were started, and what was answered. It is written without flushing, so it
// survives the death of the process and not that of the machine; it counts only
// when instance and boot id are those of the run that left the rows behind.
//
// The file is mapped into memory where the system can: a note then costs no call
// into the kernel, and the kernel keeps it when the process dies.
//
// A nil *mark does nothing. Each slot belongs to one lane; slots may be used
// concurrently.
type mark struct {
	f    *os.File
	mem  []byte // the mapped file; nil: written with WriteAt
	mu   sync.Mutex
	used [post.MaxConnections + 1]bool
}

// marked is what the mark says about one delivery.
type marked struct {
	id   int64
	code int // of the reply to the dot; 0: in flight; markRender: being rendered
}

// openMark begins a new mark for this instance.
func openMark(dir, instance, boot string) (*mark, error) {
	f, err := os.OpenFile(filepath.Join(dir, markName), os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("begin the progress mark: %w", err)
	}
	b := make([]byte, markHeader+(post.MaxConnections+1)*markSlot)
	copy(b, markMagic)
	copy(b[8:28], instance)
	copy(b[28:64], boot)
	if _, err := f.WriteAt(b, 0); err != nil {
		return nil, errors.Join(fmt.Errorf("begin the progress mark: %w", err), f.Close())
	}
	return &mark{f: f, mem: mapFile(f, len(b))}, nil
}

// readMark reads the mark of a dead process. trusted says that it is whole and
// was written by instance since the machine was started; otherwise it says
// nothing about what was in flight.
func readMark(dir, instance, boot string) (all []marked, trusted bool, err error) {
	f, err := os.Open(filepath.Join(dir, markName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return nil, false, err
	}
	if len(b) != markHeader+(post.MaxConnections+1)*markSlot || string(b[:8]) != markMagic {
		return nil, false, nil
	}
	trusted = instance != "" && boot != "" && field(b[8:28]) == instance && field(b[28:64]) == field(pad(boot, 36))
	for i := markHeader; i < len(b); i += markEntry {
		if id := int64(binary.LittleEndian.Uint64(b[i:])); id != 0 {
			all = append(all, marked{id, int(int32(binary.LittleEndian.Uint32(b[i+8:])))})
		}
	}
	return all, trusted, nil
}

func field(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

func pad(s string, n int) []byte {
	b := make([]byte, n)
	copy(b, s)
	return b
}

// slot takes a free slot, or -1 when there is none.
func (m *mark) slot() int {
	if m == nil {
		return -1
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.used {
		if !m.used[i] {
			m.used[i] = true
			return i
		}
	}
	return -1
}

// release clears a slot and gives it back.
func (m *mark) release(slot int) error {
	if m == nil || slot < 0 {
		return nil
	}
	err := m.clear(slot, maxWindow)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used[slot] = false
	return err
}

// set notes entry i of a slot. It must return before the dot goes out.
func (m *mark) set(slot, i int, id int64, code int) error {
	if m == nil || slot < 0 {
		return nil
	}
	at := markHeader + slot*markSlot + i*markEntry
	if m.mem != nil {
		// The code first: an entry counts from the moment it has an id.
		binary.LittleEndian.PutUint64(m.mem[at+8:], uint64(uint32(int32(code))))
		binary.LittleEndian.PutUint64(m.mem[at:], uint64(id))
		return nil
	}
	var b [markEntry]byte
	binary.LittleEndian.PutUint64(b[:], uint64(id))
	binary.LittleEndian.PutUint32(b[8:], uint32(int32(code)))
	_, err := m.f.WriteAt(b[:], int64(at))
	return err
}

var zeros [markSlot]byte

// clear forgets the first n entries of a slot, once their results are durable.
func (m *mark) clear(slot, n int) error {
	if m == nil || slot < 0 || n == 0 {
		return nil
	}
	at := markHeader + slot*markSlot
	if m.mem != nil {
		copy(m.mem[at:at+n*markEntry], zeros[:])
		return nil
	}
	_, err := m.f.WriteAt(zeros[:n*markEntry], int64(at))
	return err
}

func (m *mark) close() error {
	if m == nil {
		return nil
	}
	return errors.Join(unmapFile(m.mem), m.f.Close())
}
