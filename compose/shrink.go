package compose

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"path/filepath"
	"strconv"

	"golang.org/x/image/draw"

	"postroom/post"
)

const (
	maxPicture = 30 << 20  // bytes of a picture's file
	maxPixels  = 100 << 20 // of a picture that is made smaller; a small file can claim any number
	jpegFair   = 85        // of 100: no difference that one sees in a letter
)

// Pictures is where pictures are kept that were made smaller.
type Pictures interface {
	Blobs
	Put(ctx context.Context, r io.Reader) (sum string, size int64, err error)
}

// TakePicture reads a file as a picture of the message, at most width pixels
// wide; 0: as it is. What is returned is frozen in blobs, and named by what is in
// it: the body shows it as "cid:" and its CID.
func TakePicture(ctx context.Context, path string, width int, blobs Pictures) (post.Attachment, error) {
	name := filepath.Base(path)
	data, err := readPicture(post.Attachment{Name: name, Path: path}, nil)
	if err != nil {
		return post.Attachment{}, err
	}
	if data, err = shrink(data, name, width); err != nil {
		return post.Attachment{}, err
	}
	hash := sha256.Sum256(data)
	a := post.Attachment{Name: name, CID: hex.EncodeToString(hash[:10]) + "@postroom"}
	return a, keepPicture(ctx, &a, data, blobs)
}

// ShrinkPictures makes the pictures that the body shows at most width pixels
// wide, and returns how many it changed. Their names in the body stay.
func ShrinkPictures(ctx context.Context, content *post.Content, width int, blobs Pictures) (changed int, err error) {
	all := make([]post.Attachment, len(content.Attachments))
	copy(all, content.Attachments)
	for i := range all {
		a := &all[i]
		if a.CID == "" {
			continue
		}
		if err := ctx.Err(); err != nil {
			return 0, &post.Error{Kind: post.KindCancelled, Op: "make the pictures smaller", Err: err}
		}
		old, err := readPicture(*a, blobs)
		if err != nil {
			return 0, err
		}
		data, err := shrink(old, a.Name, width)
		if err != nil {
			return 0, err
		}
		if len(data) < len(old) {
			changed++
			if err := keepPicture(ctx, a, data, blobs); err != nil {
				return 0, err
			}
		}
	}
	content.Attachments = all
	return changed, nil
}

// keepPicture freezes a picture.
func keepPicture(ctx context.Context, a *post.Attachment, data []byte, blobs Pictures) (err error) {
	a.Path, a.Type = "", MediaType(a.Name, data[:min(512, len(data))])
	a.SHA256, a.Size, err = blobs.Put(ctx, bytes.NewReader(data))
	return err
}

func readPicture(a post.Attachment, blobs Blobs) ([]byte, error) {
	r, err := openAttachment(a, blobs)
	if err != nil {
		return nil, unusable(a.Name, plainPath(err))
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxPicture+1))
	if err != nil {
		return nil, unusable(a.Name, plainPath(err))
	}
	if len(data) > maxPicture {
		return nil, notAPicture(a.Name)
	}
	return data, nil
}

func notAPicture(name string) error {
	return &post.Error{
		Kind: post.KindInvalid, Op: "take the pictures in", Message: name + " is not a picture that mail readers show; use PNG, JPEG or GIF",
		Reason: post.Reason{Key: "compose.not-a-picture", Args: []string{name}},
	}
}

// shrink makes a picture at most width pixels wide and upright. One that is no
// wider comes back as it is, and so does what may move (GIF, WebP), and what
// would not become smaller.
func shrink(data []byte, name string, width int) ([]byte, error) {
	kind := MediaType(name, data[:min(512, len(data))])
	if !pictureTypes[kind] {
		return nil, notAPicture(name)
	}
	if width <= 0 || kind != "image/png" && kind != "image/jpeg" {
		return data, nil
	}
	size, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, notAPicture(name)
	}
	turned := 1
	if kind == "image/jpeg" {
		turned = orientation(data)
	}
	if size.Width*size.Height > maxPixels {
		return nil, &post.Error{
			Kind: post.KindInvalid, Op: "make the pictures smaller", Message: name + " has too many pixels",
			Reason: post.Reason{Key: "compose.picture-huge", Args: []string{name, strconv.Itoa(maxPixels >> 20)}},
		}
	}
	wide, high := size.Width, size.Height
	if turned > 4 { // it lies on its side
		wide, high = high, wide
	}
	if wide <= width {
		return data, nil
	}
	small := image.Pt(width, max(1, (high*width+wide/2)/wide))
	if turned > 4 {
		small = image.Pt(small.Y, small.X)
	}
	out, err := scaled(data, kind, small, turned)
	if err != nil {
		return nil, notAPicture(name)
	}
	if len(out) >= len(data) {
		return data, nil
	}
	return out, nil
}

// scaled writes a picture anew in another size, which is that before it is turned.
func scaled(data []byte, kind string, size image.Point, turned int) ([]byte, error) {
	img, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	out := image.NewNRGBA(image.Rectangle{Max: size})
	draw.CatmullRom.Scale(out, out.Rect, img, img.Bounds(), draw.Src, nil)
	var b bytes.Buffer
	if kind == "image/png" {
		err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, out)
	} else {
		err = jpeg.Encode(&b, upright(out, turned), &jpeg.Options{Quality: jpegFair})
	}
	return b.Bytes(), err
}

// orientation is how a JPEG is turned, from 1 (upright) to 8, as cameras note it
// (Exif 2.3, tag 0x0112). What is written anew has no such note.
func orientation(data []byte) int {
	for at := 2; at+4 <= len(data) && data[at] == 0xff && data[at+1] != 0xda; {
		long := int(binary.BigEndian.Uint16(data[at+2:]))
		if long < 2 || at+2+long > len(data) {
			return 1
		}
		if part := data[at+4 : at+2+long]; data[at+1] == 0xe1 && bytes.HasPrefix(part, []byte("Exif\x00\x00")) {
			return noted(part[6:])
		}
		at += 2 + long
	}
	return 1
}

// noted finds the orientation in the first directory of a TIFF header.
func noted(tiff []byte) int {
	const entry = 12
	var order binary.ByteOrder = binary.BigEndian
	switch {
	case len(tiff) < 8:
		return 1
	case string(tiff[:2]) == "II":
		order = binary.LittleEndian
	}
	at := uint64(order.Uint32(tiff[4:]))
	if at+2 > uint64(len(tiff)) {
		return 1
	}
	n := uint64(order.Uint16(tiff[at:]))
	for i := range n {
		e := at + 2 + i*entry
		if e+entry > uint64(len(tiff)) {
			return 1
		}
		if v := order.Uint16(tiff[e+8:]); order.Uint16(tiff[e:]) == 0x0112 && v >= 1 && v <= 8 {
			return int(v)
		}
	}
	return 1
}

// upright turns and mirrors a picture as its note says.
func upright(img *image.NRGBA, turned int) image.Image {
	if turned == 1 {
		return img
	}
	w, h := img.Rect.Dx(), img.Rect.Dy()
	out := image.NewNRGBA(image.Rect(0, 0, w, h))
	if turned > 4 {
		out = image.NewNRGBA(image.Rect(0, 0, h, w))
	}
	for y := range h {
		for x := range w {
			tx, ty := x, y
			switch turned {
			case 2:
				tx = w - 1 - x
			case 3:
				tx, ty = w-1-x, h-1-y
			case 4:
				ty = h - 1 - y
			case 5:
				tx, ty = y, x
			case 6:
				tx, ty = h-1-y, x
			case 7:
				tx, ty = h-1-y, w-1-x
			case 8:
				tx, ty = y, w-1-x
			}
			out.SetNRGBA(tx, ty, img.NRGBAAt(x, y))
		}
	}
	return out
}
