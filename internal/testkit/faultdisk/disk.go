//go:build unix && (amd64 || arm64)

package faultdisk

import (
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Kind is what is asked of the disk.
type Kind int

// The kinds. Lock is the lock of the one writer.
const (
	Write Kind = iota
	Truncate
	Sync
	Delete
	Lock
	kinds
)

// The answers (https://sqlite.org/rescode.html).
const (
	Busy          int32 = 5
	ReadOnly      int32 = 8
	IOErr         int32 = 10
	Full          int32 = 13
	IOErrWrite    int32 = 10 | 3<<8
	IOErrSync     int32 = 10 | 4<<8
	IOErrTruncate int32 = 10 | 6<<8
)

// Op is one call of the engine.
type Op struct {
	Kind   Kind
	N      int // of its kind since the last Reset, from 1
	Path   string
	Offset int64 // of a write; the size of a truncation
	Len    int
}

// Disk is the disk below one folder. Safe for concurrent use.
type Disk struct {
	dir   string
	mu    sync.Mutex
	count [kinds]int
	fault func(Op) int32
	cut   bool
	onCut func()
	over  bool // the test has ended: nothing fails, and nothing is recorded
	files map[string]*content
	gone  map[string]*content // deleted, and the folder has not been flushed since
}

// content is a file as it was flushed last, and what came after.
type content struct {
	durable  []byte
	pending  []change
	promoted int  // how many changes have become durable
	created  bool // and not flushed since: its first flush is one of the folder, too
}

type change struct {
	truncate bool
	at       int64
	data     []byte
}

var disks struct {
	sync.Mutex
	all []*Disk
}

// Watch puts a disk under the ledger files below dir until the test ends; what is
// opened there from now on goes over it.
func Watch(t testing.TB, dir string) *Disk {
	t.Helper()
	shim.once.Do(install)
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	d := &Disk{dir: dir + string(filepath.Separator), files: map[string]*content{}, gone: map[string]*content{}}
	disks.Lock()
	disks.all = append(disks.all, d)
	disks.Unlock()
	t.Cleanup(d.retire)
	return d
}

// retire takes the disk out. What is open still goes over it, without faults.
func (d *Disk) retire() {
	disks.Lock()
	disks.all = slices.DeleteFunc(disks.all, func(o *Disk) bool { return o == d })
	disks.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over, d.cut, d.fault, d.onCut = true, false, nil, nil
	d.files, d.gone = nil, nil
}

func diskOf(path string) *Disk {
	disks.Lock()
	defer disks.Unlock()
	for _, d := range disks.all {
		if strings.HasPrefix(path, d.dir) {
			return d
		}
	}
	return nil
}

// Reset begins to count anew and forgets faults.
func (d *Disk) Reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.count, d.fault = [kinds]int{}, nil
}

// Count returns how many calls of a kind there were since the last Reset.
func (d *Disk) Count(k Kind) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count[k]
}

// Fault lets f answer each call: 0 lets it through. f must be quick.
func (d *Disk) Fault(f func(Op) int32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = f
}

// CutAt cuts the power when the n-th call of a kind from now on is about to be
// carried out; then runs, on the goroutine that was cut short.
func (d *Disk) CutAt(k Kind, n int, then func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n += d.count[k]
	d.onCut = then
	d.fault = func(op Op) int32 {
		if op.Kind == k && op.N >= n {
			d.cut = true
		}
		return 0
	}
}

// IsCut reports whether the power is gone.
func (d *Disk) IsCut() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cut
}

func (d *Disk) before(op Op) int32 {
	d.mu.Lock()
	if d.cut {
		d.mu.Unlock()
		return IOErr
	}
	d.count[op.Kind]++
	op.N = d.count[op.Kind]
	var code int32
	if d.fault != nil {
		code = d.fault(op)
	}
	if !d.cut {
		d.mu.Unlock()
		return code
	}
	then := d.onCut
	d.mu.Unlock()
	if then != nil {
		then()
	}
	return IOErr
}

// opened takes in what lies on the disk already when a file is seen first. No
// connection has it yet, so closing it drops nobody's locks.
func (d *Disk) opened(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over || d.files[path] != nil {
		return
	}
	b, err := os.ReadFile(path)
	if err == nil {
		d.files[path] = &content{durable: b, created: len(b) == 0}
	}
}

// file returns what is known of a file.
func (d *Disk) file(path string) *content {
	c := d.files[path]
	if c == nil {
		c = &content{created: true}
		d.files[path] = c
	}
	return c
}

// wrote keeps data, which is the caller's to give.
func (d *Disk) wrote(path string, offset int64, data []byte) {
	d.changed(path, change{at: offset, data: data})
}

func (d *Disk) truncated(path string, size int64) { d.changed(path, change{truncate: true, at: size}) }

func (d *Disk) changed(path string, x change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return
	}
	c := d.file(path)
	c.pending = append(c.pending, x)
}

// syncing notes what a flush that begins now covers. What is written while it is
// on its way may miss it.
func (d *Disk) syncing(path string) (done func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return func() {}
	}
	c := d.file(path)
	covers := c.promoted + len(c.pending)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		for c.promoted < covers {
			c.durable = c.pending[0].apply(c.durable)
			c.pending = c.pending[1:]
			c.promoted++
		}
		if c.created { // SQLite flushes the folder with the first flush of a new file
			c.created = false
			clear(d.gone)
		}
	}
}

// removed takes in that a file was deleted. Until the folder is flushed it may
// come back.
func (d *Disk) removed(path string, folderFlushed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return
	}
	if c := d.files[path]; c != nil && d.gone[path] == nil {
		d.gone[path] = c
	}
	delete(d.files, path)
	if folderFlushed {
		clear(d.gone)
	}
}

func (x change) apply(b []byte) []byte {
	if x.truncate {
		if int64(len(b)) > x.at {
			return b[:x.at]
		}
		return append(b, make([]byte, x.at-int64(len(b)))...)
	}
	if end := x.at + int64(len(x.data)); end > int64(len(b)) {
		b = append(b, make([]byte, end-int64(len(b)))...)
	}
	copy(b[x.at:], x.data)
	return b
}

// Keep decides what is found of the changes that were not flushed when the power
// went: All, None or Some.
type Keep struct {
	fate func() fate
	part func() bool // whether a sector of a torn write is found
}

type fate int

const (
	drop fate = iota
	whole
	torn
)

// All keeps everything: a process died, and the kernel has what it wrote.
func All() Keep { return Keep{fate: func() fate { return whole }} }

// None keeps nothing.
func None() Keep { return Keep{fate: func() fate { return drop }} }

// Some keeps an arbitrary part: of each change all, nothing, or some sectors.
func Some(rnd *rand.Rand) Keep {
	return Keep{fate: func() fate { return fate(rnd.IntN(int(torn) + 1)) }, part: func() bool { return rnd.IntN(2) == 0 }}
}

const sector = 512

// Image writes the files to another folder as they are found after the cut: what
// was flushed, and of what was not, deletions too, as much as keep says.
func (d *Disk) Image(t testing.TB, dst string, keep Keep) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	found := maps.Clone(d.files)
	for _, path := range slices.Sorted(maps.Keys(d.gone)) {
		if keep.fate() != whole {
			found[path] = d.gone[path] // the deletion is not found, so the file is
		}
	}
	for _, path := range slices.Sorted(maps.Keys(found)) { // in order, so that a seed makes the same again
		name := filepath.Join(dst, strings.TrimPrefix(path, d.dir))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, found[path].after(keep), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// after returns the file as it is found after a cut.
func (c *content) after(keep Keep) []byte {
	b := slices.Clone(c.durable)
	for _, x := range c.pending {
		how := keep.fate()
		switch {
		case how == whole || how == torn && x.truncate && keep.part():
			b = x.apply(b)
		case how == torn:
			for i := 0; i < len(x.data); i += sector {
				if keep.part() {
					b = change{at: x.at + int64(i), data: x.data[i:min(i+sector, len(x.data))]}.apply(b)
				}
			}
		}
	}
	return b
}
