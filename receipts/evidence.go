package receipts

import (
	"archive/zip"
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"time"

	"postroom/post"
	"postroom/storage"
)

// Records is what an evidence pack needs of the ledger.
type Records interface {
	Mailing(ctx context.Context, id int64) (post.Mailing, error)
	EachDelivery(ctx context.Context, f storage.HistoryFilter) iter.Seq2[storage.HistoryRow, error]
	Attempts(ctx context.Context, delivery int64) ([]storage.AttemptRow, error)
	Receipts(ctx context.Context, delivery int64) ([]post.Receipt, error)
	Receipt(ctx context.Context, id int64) (post.Receipt, error)
}

var _ Records = (*storage.Ledger)(nil)

// Evidence writes packs: one zip file that shows what was sent to whom, what
// every server answered, and what came back. In it lie
//
//   - records.jsonl, the chain: a line for the pack, one per delivery, and one
//     for the end. Each carries the hash of the line before it (see link), so
//     nothing can be changed, taken out or put in without changing the last
//     hash, which Write returns and which is worth keeping elsewhere.
//   - people/N/, what is personal in delivery N: the message as sent, the texts
//     of the servers, and each message that came back, up to 256 KB. The
//     chain holds of these only digests that are salted with people/N/salt.
//   - index.html, the same for reading.
//
// So a person can be taken out of a pack by deleting their folder (the page
// names addresses, too): the chain stays whole, and what is left in it says
// nothing about them. An anonymous pack has no such folders from the start, no
// salts anywhere, and a page with numbers in place of addresses. Of the mailing
// it leaves out name, subject and words; the sender stays named.
type Evidence struct {
	Records Records
	// Message makes a delivery's message again, as it was sent; see
	// compose.Archive.
	Message func(ctx context.Context, d *post.Delivery) (message []byte, signed bool, err error)
	Words   Words
	Clock   post.Clock
	Log     *slog.Logger
	// Progress, where set, is told the number of deliveries written.
	Progress func(done int64)
}

// Choice says which deliveries a pack is about: those of a mailing, of a
// person, or of a person in a mailing. Rehearsals are in it only by number.
type Choice struct {
	Mailing   int64  // 0: all live ones
	Address   string // empty: everybody
	Anonymous bool
}

// Pack says what Write wrote.
type Pack struct {
	Deliveries, Messages, Receipts int64
	// Lost counts messages that could not be made again, because a file of them
	// or the person was erased.
	Lost int64
	Hash string // of the last line of the chain
}

const (
	recordsName = "records.jsonl"
	pageName    = "index.html"
	peopleDir   = "people"
	saltName    = "salt"
	messageName = "message.eml"
	maxPageRows = 2000 // the rest is in the records
)

// pack is one that is being written.
type pack struct {
	*Evidence
	Choice
	key   string // of Address
	local string // its part before "@": that narrows the search, whatever form the domain has
	zip   *zip.Writer
	spool *bufio.Writer // records.jsonl, until its turn in the zip file comes
	last  string        // the hash of the last line
	page  page
	Pack
}

// Write makes a pack. The file appears whole or not at all.
func (e *Evidence) Write(ctx context.Context, dst string, c Choice) (Pack, error) {
	p := &pack{Evidence: e, Choice: c}
	if c.Mailing == 0 && c.Address == "" {
		return Pack{}, post.Errorf(post.KindInvalid, "", "say which mailing or which recipient the evidence is about")
	}
	if c.Address != "" {
		_, a, err := post.ParseMailbox(c.Address)
		if err != nil {
			return Pack{}, err
		}
		p.key, p.local = post.AddressKey(a), a.Local
	}
	err := p.file(ctx, dst)
	var known *post.Error
	switch {
	case err == nil, errors.As(err, &known):
	case ctx.Err() != nil:
		err = &post.Error{Kind: post.KindCancelled, Op: "write the evidence", Message: "stopped; no file was written", Err: ctx.Err()}
	default:
		err = &post.Error{Kind: post.KindInternal, Op: "write the evidence", Message: "the file could not be written", Err: err}
	}
	return p.Pack, err
}

func (p *pack) file(ctx context.Context, dst string) (err error) {
	out, err := os.CreateTemp(filepath.Dir(dst), ".evidence-*.part") // mode 0600
	if err != nil {
		return err
	}
	spool, err := os.CreateTemp(filepath.Dir(dst), ".evidence-*.part")
	if err != nil {
		return errors.Join(err, out.Close(), os.Remove(out.Name()))
	}
	defer func() {
		err = errors.Join(err, spool.Close(), os.Remove(spool.Name()))
		if cerr := out.Close(); err == nil {
			err = cerr
		}
		if err == nil {
			err = os.Rename(out.Name(), dst)
		}
		if err != nil {
			_ = os.Remove(out.Name()) // the first error is the one to tell
		}
	}()
	buffered := bufio.NewWriterSize(out, 256<<10)
	p.zip, p.spool = zip.NewWriter(buffered), bufio.NewWriterSize(spool, 64<<10)
	if err := p.all(ctx); err != nil {
		return err
	}
	if err := p.spool.Flush(); err != nil {
		return err
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return err
	}
	w, err := p.create(recordsName)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, spool); err != nil {
		return err
	}
	if err := errors.Join(p.zip.Close(), buffered.Flush()); err != nil {
		return err
	}
	return out.Sync()
}

func (p *pack) create(name string) (io.Writer, error) {
	return p.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: p.Clock.Now().UTC()})
}

// all writes everything but the records, which it spools.
func (p *pack) all(ctx context.Context) error {
	if err := p.opening(ctx); err != nil {
		return err
	}
	f := storage.HistoryFilter{Mailing: p.Mailing, Search: p.local}
	if p.Mailing == 0 {
		f.Kind = post.Live
	}
	for h, err := range p.Records.EachDelivery(ctx, f) {
		if err != nil {
			return err
		}
		if p.key != "" && !isTo(&h, p.key) {
			continue
		}
		if err := p.delivery(ctx, &h); err != nil {
			return err
		}
		if p.Deliveries++; p.Progress != nil {
			p.Progress(p.Deliveries)
		}
	}
	if p.Deliveries == 0 {
		return post.Errorf(post.KindNotFound, "", "nothing was sent to that address")
	}
	html, err := p.page.render(p)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(html)
	w, err := p.create(pageName)
	if err == nil {
		_, err = w.Write(html)
	}
	if err != nil {
		return err
	}
	return p.link(ending{Kind: "end", Deliveries: p.Deliveries, Page: hex.EncodeToString(sum[:])})
}

// isTo compares the person, whatever the row number in the key.
func isTo(h *storage.HistoryRow, key string) bool {
	_, a, err := post.ParseMailbox(h.Address)
	return err == nil && post.AddressKey(a) == key
}

// link is a line of the chain. Hash is SHA-256 over prev (hexadecimal), a line
// feed, and the bytes of body as they stand in the line.
type link struct {
	Prev string          `json:"prev"`
	Body json.RawMessage `json:"body"`
	Hash string          `json:"hash"`
}

func hashOf(prev string, body []byte) string {
	h := sha256.New()
	h.Write([]byte(prev))
	h.Write([]byte{'\n'})
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

func (p *pack) link(body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	l := link{Prev: p.last, Body: b, Hash: hashOf(p.last, b)}
	p.last, p.Hash = l.Hash, l.Hash
	line, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = p.spool.Write(append(line, '\n'))
	return err
}

// sealed is a file of the pack as the chain knows it: SHA-256 as an HMAC (RFC
// 2104) with the salt of its folder, so that a digest alone betrays nothing.
type sealed struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
	MAC   string `json:"hmac_sha256"`
}

// folder writes the personal files of one delivery.
type folder struct {
	p    *pack
	id   int64
	salt []byte
	all  []sealed
}

func (p *pack) folder(id int64) (*folder, error) {
	f := &folder{p: p, id: id, salt: make([]byte, 32)}
	if _, err := rand.Read(f.salt); err != nil {
		return nil, err
	}
	return f, nil
}

func personal(id int64, name string) string {
	return path.Join(peopleDir, strconv.FormatInt(id, 10), name)
}

func macOf(salt, b []byte) string {
	h := hmac.New(sha256.New, salt)
	h.Write(b)
	return hex.EncodeToString(h.Sum(nil))
}

// add seals b, and keeps it unless the pack is anonymous.
func (f *folder) add(name string, b []byte) error {
	f.all = append(f.all, sealed{Name: name, Bytes: int64(len(b)), MAC: macOf(f.salt, b)})
	return f.write(name, b)
}

func (f *folder) write(name string, b []byte) error {
	if f.p.Anonymous {
		return nil
	}
	w, err := f.p.create(personal(f.id, name))
	if err == nil {
		_, err = w.Write(b)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// finish writes the salt, and returns what the chain says of the folder.
func (f *folder) finish() ([]sealed, error) {
	return f.all, f.write(saltName, []byte(hex.EncodeToString(f.salt)))
}

// when is a time as the records have it; nil: never.
func when(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
	return &s
}
