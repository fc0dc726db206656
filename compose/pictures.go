package compose

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"postroom/post"
)

// cidForm is what a Content-ID may be here (RFC 2392).
var cidForm = regexp.MustCompile(`^[A-Za-z0-9._-]+@[A-Za-z0-9.-]+$`)

// maxPictures bounds the pictures of one message.
const maxPictures = 50

// pictureTypes are those that mail readers show.
var pictureTypes = map[string]bool{"image/png": true, "image/jpeg": true, "image/gif": true, "image/webp": true}

var (
	markdownPicture = regexp.MustCompile(`(!\[[^\]\n]*\]\()(<[^>\n]+>|[^)\s]+)`)
	htmlPicture     = regexp.MustCompile(`(?is)(<img\b[^>]*?\ssrc\s*=\s*)("[^"]*"|'[^']*')`)
)

// TakePictures finds the pictures that a body names by a path beside it, and
// makes them parts of the message: the body then shows them by their Content-ID.
// Paths are looked up in folder, which no path and no link leads out of. What is
// an address, or holds a merge tag, stays as it is.
func TakePictures(body string, format post.BodyFormat, folder string) (string, []post.Attachment, error) {
	form := map[post.BodyFormat]*regexp.Regexp{post.FormatMarkdown: markdownPicture, "": markdownPicture, post.FormatHTML: htmlPicture}[format]
	if form == nil || !form.MatchString(body) {
		return body, nil, nil
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return body, nil, unusable(folder, plainPath(err))
	}
	defer root.Close()
	var all []post.Attachment
	known := map[string]string{} // path -> cid
	body = form.ReplaceAllStringFunc(body, func(found string) string {
		m := form.FindStringSubmatch(found)
		written := strings.Trim(m[2], `<>"'`)
		if err != nil || written == "" || strings.Contains(written, "{{") || strings.ContainsAny(written[:1], "#/?") || strings.Contains(written, ":") {
			return found
		}
		path, uerr := url.PathUnescape(written)
		if uerr != nil {
			return found
		}
		cid, ok := known[path]
		if !ok {
			var a post.Attachment
			if a, err = picture(root, path, filepath.Join(folder, filepath.FromSlash(path))); err != nil {
				return found
			}
			if all = append(all, a); len(all) > maxPictures {
				err = post.Errorf(post.KindInvalid, "take the pictures in", "there are more than %d pictures", maxPictures)
				return found
			}
			cid, known[path] = a.CID, a.CID
		}
		if format == post.FormatHTML {
			return m[1] + `"cid:` + cid + `"`
		}
		return m[1] + "cid:" + cid
	})
	return body, all, err
}

// picture looks at one file, and names it by what is in it.
func picture(root *os.Root, path, full string) (post.Attachment, error) {
	f, err := openIn(root.Stat, root.Open, filepath.FromSlash(path))
	if err != nil {
		return post.Attachment{}, unusable(path, err)
	}
	defer f.Close()
	hash := sha256.New()
	first := make([]byte, 512)
	n, err := io.ReadFull(f, first)
	if err != nil && n == 0 {
		return post.Attachment{}, unusable(path, err)
	}
	hash.Write(first[:n])
	if _, err := io.Copy(hash, f); err != nil {
		return post.Attachment{}, unusable(path, err)
	}
	kind := MediaType(path, first[:n])
	if !pictureTypes[kind] {
		return post.Attachment{}, notAPicture(path)
	}
	return post.Attachment{
		Name: filepath.Base(full), Path: full, Size: f.size, Type: kind,
		CID: hex.EncodeToString(hash.Sum(nil)[:10]) + "@postroom",
	}, nil
}
