package compose

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"postroom/post"
)

// shelf keeps pictures in the memory of the tests.
type shelf struct{ memoryBlobs }

func (s shelf) Put(_ context.Context, r io.Reader) (string, int64, error) {
	data, err := io.ReadAll(r)
	a := s.add("kept", data)
	return a.SHA256, a.Size, err
}

// quarters is a picture with a colour in each corner: red and green above, blue
// and white below.
func quarters(w, h int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.NRGBA{R: 255, A: 255}
			switch right, below := x >= w/2, y >= h/2; {
			case right && below:
				c = color.NRGBA{R: 255, G: 255, B: 255, A: 255}
			case right:
				c = color.NRGBA{G: 255, A: 255}
			case below:
				c = color.NRGBA{B: 255, A: 255}
			}
			img.SetNRGBA(x, y, c)
		}
	}
	return img
}

type noteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// photo is the picture as a camera keeps it that was turned: the picture stands
// upright once a reader obeys the note.
func photo(t *testing.T, w, h, turned int, order noteOrder) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, quarters(w, h), &jpeg.Options{Quality: 100}); err != nil {
		t.Fatal(err)
	}
	tiff := []byte("MM")
	if order == binary.LittleEndian {
		tiff = []byte("II")
	}
	tiff = order.AppendUint16(tiff, 42)
	tiff = order.AppendUint32(tiff, 8)
	tiff = order.AppendUint16(tiff, 2) // entries
	for _, e := range [][2]uint16{{0x0100, 3}, {0x0112, uint16(turned)}} {
		tiff = order.AppendUint16(order.AppendUint16(tiff, e[0]), 3)
		tiff = order.AppendUint32(tiff, 1)
		tiff = order.AppendUint16(order.AppendUint16(tiff, e[1]), 0)
	}
	note := append([]byte("Exif\x00\x00"), tiff...)
	head := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(note)+2))
	return append(append(append(bytes.Clone(b.Bytes()[:2]), head...), note...), b.Bytes()[2:]...)
}

// A picture is as wide as was asked for and upright, however the camera was held.
func TestShrinkTurns(t *testing.T) {
	const red, green, blue, white = "red", "green", "blue", "white"
	for turned, want := range map[int][4]string{ // above left, above right, below left, below right
		1: {red, green, blue, white}, 2: {green, red, white, blue}, 3: {white, blue, green, red}, 4: {blue, white, red, green},
		5: {red, blue, green, white}, 6: {blue, red, white, green}, 7: {white, green, blue, red}, 8: {green, white, red, blue},
	} {
		for _, order := range []noteOrder{binary.BigEndian, binary.LittleEndian} {
			data := photo(t, 900, 600, turned, order)
			out, err := shrink(data, "a.jpg", 300)
			if err != nil {
				t.Fatal(err)
			}
			img, err := jpeg.Decode(bytes.NewReader(out))
			if err != nil {
				t.Fatal(err)
			}
			size := image.Pt(300, 200)
			if turned > 4 {
				size = image.Pt(300, 450)
			}
			if img.Bounds().Size() != size {
				t.Errorf("turned %d: it is %v, not %v", turned, img.Bounds().Size(), size)
			}
			for i, p := range []image.Point{{20, 20}, {size.X - 20, 20}, {20, size.Y - 20}, {size.X - 20, size.Y - 20}} {
				if got := called(img.At(p.X, p.Y)); got != want[i] {
					t.Errorf("turned %d: corner %d is %s, not %s", turned, i, got, want[i])
				}
			}
		}
	}
}

func called(c color.Color) string {
	r, g, b, _ := c.RGBA()
	const half = 0x8000
	switch {
	case r > half && g > half && b > half:
		return "white"
	case r > half:
		return "red"
	case g > half:
		return "green"
	case b > half:
		return "blue"
	}
	return "black"
}

// What is narrow enough, or may move, stays as it is to the byte; what claims to
// be huge is not decoded; what is clear stays clear.
func TestShrinkLeaves(t *testing.T) {
	gif := []byte("GIF89a\x10\x27\x10\x27\x80\x00\x00\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;")
	narrow := photo(t, 200, 100, 1, binary.BigEndian)
	for name, data := range map[string][]byte{"a.gif": gif, "a.jpg": narrow} {
		if out, err := shrink(data, name, 300); err != nil || !bytes.Equal(out, data) {
			t.Errorf("%s: %d bytes of %d, %v", name, len(out), len(data), err)
		}
	}
	if out, err := shrink(photo(t, 900, 600, 1, binary.BigEndian), "a.jpg", 0); err != nil || len(out) < 5000 {
		t.Errorf("nothing was asked for: %d bytes, %v", len(out), err)
	}
	var b bytes.Buffer
	clear := quarters(900, 600)
	for i := 3; i < len(clear.Pix); i += 8 {
		clear.Pix[i] = 0
	}
	for y := range 300 {
		for x := range 450 {
			clear.SetNRGBA(x, y, color.NRGBA{})
		}
	}
	if err := png.Encode(&b, clear); err != nil {
		t.Fatal(err)
	}
	out, err := shrink(b.Bytes(), "a.png", 300)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, a := img.At(20, 20).RGBA(); a != 0 || img.Bounds().Dx() != 300 {
		t.Errorf("alpha %d, %v", a, img.Bounds())
	}
	huge := bytes.Clone(b.Bytes())
	binary.BigEndian.PutUint32(huge[16:], 1<<20)
	binary.BigEndian.PutUint32(huge[20:], 1<<20)
	binary.BigEndian.PutUint32(huge[29:], crc32.ChecksumIEEE(huge[12:29]))
	for name, data := range map[string][]byte{"huge.png": huge, "text.png": []byte("no picture"), "cut.png": b.Bytes()[:60]} {
		if _, err := shrink(data, name, 300); post.KindOf(err) != post.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// No note of a camera, however damaged, is read beyond its end.
func TestShrinkDamagedNotes(t *testing.T) {
	whole := photo(t, 8, 8, 6, binary.LittleEndian)
	rapid.Check(t, func(t *rapid.T) {
		data := bytes.Clone(whole[:rapid.IntRange(0, 90).Draw(t, "length")])
		for range rapid.IntRange(0, 6).Draw(t, "changes") {
			if len(data) > 0 {
				data[rapid.IntRange(0, len(data)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
			}
		}
		if n := orientation(data); n < 1 || n > 8 {
			t.Fatalf("turned %d", n)
		}
	})
	if n := orientation(whole); n != 6 {
		t.Errorf("the whole note says %d", n)
	}
}

// Pictures of a message become smaller where they are too wide; files do not, and
// the body goes on showing them.
func TestShrinkPictures(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.jpg")
	if err := os.WriteFile(path, photo(t, 900, 600, 6, binary.BigEndian), 0o600); err != nil {
		t.Fatal(err)
	}
	blobs := shelf{testBlobs}
	wide, err := TakePicture(t.Context(), path, 0, blobs)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := TakePicture(t.Context(), path, 300, blobs)
	if err != nil || taken.Size >= wide.Size || taken.CID == wide.CID || taken.Path != "" || taken.Type != "image/jpeg" {
		t.Fatalf("%+v %v", taken, err)
	}
	file := testBlobs.add("photo.jpg", photo(t, 900, 600, 1, binary.BigEndian))
	c := post.Content{Subject: "x", Body: "![shop](cid:" + wide.CID + ")", Attachments: []post.Attachment{wide, file}}
	before := c.Attachments
	if n, err := ShrinkPictures(t.Context(), &c, 300, blobs); err != nil || n != 1 {
		t.Fatalf("%d changed, %v", n, err)
	}
	if c.Attachments[0].CID != wide.CID || c.Attachments[0].Size >= wide.Size || c.Attachments[1] != file || before[0] != wide {
		t.Errorf("%+v", c.Attachments)
	}
	if n, err := ShrinkPictures(t.Context(), &c, 300, blobs); err != nil || n != 0 {
		t.Errorf("a second time %d changed, %v", n, err)
	}
	m, err := Compile(t.Context(), c, blobs, Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := letterParams()
	var msg Message
	if err := m.Render(&msg, &p); err != nil {
		t.Fatal(err)
	}
	checkBytes(t, &msg)
}
