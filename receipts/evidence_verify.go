package receipts

import (
	"archive/zip"
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"postroom/post"
)

const (
	maxLine     = 4 << 20 // bytes of one line of the chain
	maxSealed   = 1 << 30 // bytes of one file
	maxProblems = 100     // told apart
)

// Verified says what VerifyEvidence found.
type Verified struct {
	Deliveries int64
	// LeftOut counts the deliveries whose personal part is not in the pack.
	LeftOut int64
	Hash    string // of the last line; whoever noted it elsewhere compares
	// Problems name what was changed, taken out or put in; none: the pack is as it
	// was written, provided that Hash is the one that was noted.
	Problems []string
}

func (v *Verified) problem(format string, args ...any) {
	if len(v.Problems) < maxProblems {
		v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
	}
}

// VerifyEvidence recomputes the chain of a pack and looks at every file in it.
// The error is about a file that is no pack at all.
func VerifyEvidence(name string) (Verified, error) {
	var v Verified
	z, err := zip.OpenReader(name)
	if err != nil {
		return v, &post.Error{Kind: post.KindInvalid, Op: "verify the evidence", Message: "this is no evidence pack", Err: err}
	}
	defer z.Close() //nolint:errcheck // only read
	files := map[string]*zip.File{}
	for _, f := range z.File {
		if files[f.Name] != nil {
			v.problem("%s is in it twice", f.Name)
		}
		files[f.Name] = f
	}
	records := files[recordsName]
	if records == nil {
		return v, &post.Error{Kind: post.KindInvalid, Op: "verify the evidence", Message: "this is no evidence pack: it has no " + recordsName}
	}
	delete(files, recordsName)
	r, err := records.Open()
	if err != nil {
		return v, &post.Error{Kind: post.KindInvalid, Op: "verify the evidence", Message: "the records cannot be read", Err: err}
	}
	defer r.Close() //nolint:errcheck // only read
	v.chain(r, files)
	for name := range files {
		v.problem("%s is in no record", name)
	}
	return v, nil
}

// entry is what the lines of the chain have in common.
type entry struct {
	Kind       string   `json:"kind"`
	Delivery   int64    `json:"delivery"`
	Deliveries int64    `json:"deliveries"`
	Mailing    int64    `json:"mailing"`
	Page       string   `json:"page_sha256"`
	Sealed     []sealed `json:"sealed"`
}

// chain follows the lines, and takes out of files what they vouch for.
func (v *Verified) chain(r io.Reader, files map[string]*zip.File) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	n, ended := 0, false
	for lines.Scan() {
		n++
		if ended {
			v.problem("line %d comes after the end", n)
		}
		e, ok := v.line(n, lines.Bytes())
		if !ok {
			continue
		}
		if (n == 1) != (e.Kind == "pack") {
			v.problem("line %d is out of place", n)
		}
		switch e.Kind {
		case "pack":
			if e.Mailing != 0 {
				v.folder(mailingFolder, e.Sealed, files)
			}
		case "delivery":
			v.Deliveries++
			if !v.folder(e.Delivery, e.Sealed, files) {
				v.LeftOut++
			}
		case "end":
			ended = true
			if e.Deliveries != v.Deliveries {
				v.problem("%d deliveries were written, %d are there", e.Deliveries, v.Deliveries)
			}
			v.page(e.Page, files)
		default:
			v.problem("line %d is of no known kind", n)
		}
	}
	if err := lines.Err(); err != nil {
		v.problem("the records cannot be read beyond line %d: %v", n, err)
	} else if !ended {
		v.problem("the records end too early")
	}
}

// line checks that a line follows from the one before it.
func (v *Verified) line(n int, b []byte) (e entry, ok bool) {
	var l link
	if err := json.Unmarshal(b, &l); err != nil {
		v.problem("line %d cannot be read", n)
		return e, false
	}
	// The line holds these three, written in this way, and nothing else.
	if again, err := json.Marshal(l); err != nil || !bytes.Equal(again, b) {
		v.problem("line %d was changed", n)
	}
	switch {
	case l.Prev != v.Hash:
		v.problem("line %d does not follow the one before it", n)
	case l.Hash != hashOf(l.Prev, l.Body):
		v.problem("line %d was changed", n)
	}
	v.Hash = l.Hash
	if err := json.Unmarshal(l.Body, &e); err != nil {
		v.problem("line %d cannot be read", n)
		return e, false
	}
	return e, true
}

// folder checks one folder against its seals, and reports whether it is there.
func (v *Verified) folder(id int64, seals []sealed, files map[string]*zip.File) bool {
	salt := files[personal(id, saltName)]
	prefix := personal(id, "") + "/"
	if salt == nil {
		for _, s := range seals {
			if files[prefix+s.Name] != nil {
				v.problem("%s%s is there without its salt", prefix, s.Name)
				delete(files, prefix+s.Name)
			}
		}
		return false
	}
	delete(files, salt.Name)
	text, err := readFile(salt, 128)
	key, herr := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || herr != nil {
		v.problem("%s cannot be read", salt.Name)
	}
	for _, s := range seals {
		f := files[prefix+s.Name]
		if f == nil {
			v.problem("%s%s was taken out", prefix, s.Name)
			continue
		}
		delete(files, f.Name)
		h := hmac.New(sha256.New, key)
		if n, err := copyFile(h, f, min(s.Bytes, maxSealed)); err != nil || n != s.Bytes || hex.EncodeToString(h.Sum(nil)) != s.MAC {
			v.problem("%s was changed", f.Name)
		}
	}
	return true
}

func (v *Verified) page(sum string, files map[string]*zip.File) {
	f := files[pageName]
	if f == nil {
		v.problem("%s was taken out", pageName)
		return
	}
	delete(files, pageName)
	h := sha256.New()
	if _, err := copyFile(h, f, maxSealed); err != nil || hex.EncodeToString(h.Sum(nil)) != sum {
		v.problem("%s was changed", pageName)
	}
}

var errTooLong = errors.New("longer than it was")

// copyFile unpacks at most limit bytes; more is an error.
func copyFile(w io.Writer, f *zip.File, limit int64) (int64, error) {
	r, err := f.Open()
	if err != nil {
		return 0, err
	}
	defer r.Close() //nolint:errcheck // only read
	n, err := io.Copy(w, io.LimitReader(r, limit+1))
	if err == nil && n > limit {
		err = errTooLong
	}
	return n, err
}

func readFile(f *zip.File, limit int64) ([]byte, error) {
	var b bytes.Buffer
	_, err := copyFile(&b, f, limit)
	return b.Bytes(), err
}
