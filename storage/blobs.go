package storage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"postroom/post"
)

// MaxBlob is the largest file that is taken in, in bytes: a message may be 50
// MB, and base64 adds a third.
const MaxBlob = 50 << 20

// Put keeps the content of r and returns its hash and size. The file is on
// disk, flushed and named, before the ledger says that it is there; the same
// content is kept once.
func (l *Ledger) Put(ctx context.Context, r io.Reader) (sum string, size int64, err error) {
	const op = "keep the file"
	dir := filepath.Join(l.dir, "blobs")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", 0, classify(op, err)
	}
	f, err := os.CreateTemp(dir, "incoming-*")
	if err != nil {
		return "", 0, classify(op, err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone after the rename
	h := sha256.New()
	size, err = io.Copy(io.MultiWriter(f, h), io.LimitReader(readerWithContext{ctx, r}, MaxBlob+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return "", 0, classify(op, err)
	}
	if size > MaxBlob {
		return "", 0, post.Errorf(post.KindInvalid, op, "it is larger than %d MB", MaxBlob>>20)
	}
	sum = hex.EncodeToString(h.Sum(nil))
	dst := l.blobPath(sum)
	if err := os.MkdirAll(filepath.Dir(dst), 0o700); err != nil {
		return "", 0, classify(op, err)
	}
	if err := finishFile(f.Name(), dst); err != nil {
		return "", 0, classify(op, err)
	}
	if err := syncDir(dir); err != nil {
		return "", 0, classify(op, err)
	}
	return sum, size, l.write(ctx, op, func(t *Tx) error {
		_, err := t.exec("INSERT INTO blobs (sha256, size, created_at) VALUES (?,?,?) ON CONFLICT DO NOTHING", sum, size, post.Millis(t.now))
		return err
	})
}

// Open returns the content kept under a hash.
func (l *Ledger) Open(sum string) (io.ReadCloser, error) {
	if len(sum) != 2*sha256.Size {
		return nil, post.Errorf(post.KindInvalid, "open the file", "%q is not a hash", sum)
	}
	f, err := os.Open(l.blobPath(sum))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &post.Error{Kind: post.KindNotFound, Op: "open the file", Message: "an attachment is missing from the data folder (blobs/" + sum[:12] + "…)", Err: err}
	}
	return f, classify("open the file", err)
}

func (l *Ledger) blobPath(sum string) string { return filepath.Join(l.dir, "blobs", sum[:2], sum) }

// checkBlobs reports files that are missing or not what their name says.
func (l *Ledger) checkBlobs(ctx context.Context) ([]string, error) {
	rows, err := l.r.QueryContext(ctx, "SELECT sha256, size FROM blobs")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var bad []string
	for rows.Next() {
		var sum string
		var size int64
		if err := rows.Scan(&sum, &size); err != nil {
			return nil, err
		}
		if why := l.checkBlob(sum, size); why != "" {
			bad = append(bad, fmt.Sprintf("attachment %s…: %s", sum[:12], why))
		}
	}
	return bad, rows.Err()
}

func (l *Ledger) checkBlob(sum string, size int64) string {
	f, err := os.Open(l.blobPath(sum))
	if err != nil {
		return "the file is missing"
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	switch {
	case err != nil:
		return "it cannot be read"
	case n != size || hex.EncodeToString(h.Sum(nil)) != sum:
		return "its content has changed"
	}
	return ""
}

// readerWithContext ends a long copy when the caller gives up.
type readerWithContext struct {
	ctx context.Context
	r   io.Reader
}

func (r readerWithContext) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
