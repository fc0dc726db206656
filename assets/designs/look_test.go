package designs

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"html"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// tools is the folder that scripts/designs.sh fills.
func tools(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("POSTROOM_DESIGNS")
	if dir == "" {
		t.Skip("this looks at the designs with SpamAssassin and Chromium, which are not fetched for every run; use: make designs")
	}
	return dir
}

var points = regexp.MustCompile(`Content analysis details:\s+\((-?[0-9.]+) points`)

// maxScore is what a starter may score; 5 is spam.
const maxScore = 1.0

// TestLookOfSpam: SpamAssassin's own rules (nothing is asked on the network) take
// no starter for spam. The rules see a mail that is known to be spam, too.
func TestLookOfSpam(t *testing.T) {
	tree := filepath.Join(tools(t), "spamassassin")
	score := func(raw []byte) float64 {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		args := []string{"-T"}
		for _, pattern := range []string{"usr/share/perl5", "usr/lib/*/perl5", "usr/lib/*/perl5/*"} {
			found, err := filepath.Glob(filepath.Join(tree, pattern))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range found {
				args = append(args, "-I", f)
			}
		}
		args = append(args, filepath.Join(tree, "usr/bin/spamassassin"), "-L", "-x", "-t",
			"--configpath", filepath.Join(tree, "usr/share/spamassassin"), "--siteconfigpath", filepath.Join(tree, "etc/spamassassin"))
		cmd := exec.CommandContext(ctx, "perl", args...)
		cmd.Stdin = bytes.NewReader(raw)
		cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
		out, err := cmd.CombinedOutput()
		m := points.FindSubmatch(out)
		if m == nil {
			t.Fatalf("SpamAssassin says nothing (%v):\n%s", err, out)
		}
		n, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			t.Fatal(err)
		}
		if _, details, ok := bytes.Cut(out, []byte("rule name")); ok && n > 0.1 {
			t.Logf("%s", details)
		}
		return n
	}
	if n := score([]byte("From: a@example.com\r\nTo: b@example.com\r\nSubject: x\r\n\r\nXJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n")); n < 5 {
		t.Fatalf("the rules do not work: a test message scores %.1f", n)
	}
	for _, name := range Names() {
		for _, lang := range langs {
			n := score(preview(t, dressed(t, name, lang, "#1a7f37")).Source)
			t.Logf("%-14s %-8s %5.1f points", name, lang, n)
			if n > maxScore {
				t.Errorf("%s.%s scores %.1f, at most %.1f is allowed", name, lang, n, maxScore)
			}
		}
	}
}

// sheet shows one message at three widths, light and dark. A frame's own colour
// scheme is what its page sees as the reader's preference.
const sheet = `<!DOCTYPE html><meta charset="utf-8"><style>body{margin:0;background:#9aa0a6;display:flex;gap:16px;padding:16px;align-items:flex-start}iframe{border:0;background:#fff}</style>
<body><script>
const page = %s;
for (const scheme of ["light", "dark"]) for (const width of [320, 600, 1200]) {
  const f = document.createElement("iframe");
  f.style.cssText = "color-scheme:" + scheme + ";flex:none;width:" + width + "px;height:100px";
  f.onload = () => {
    const d = f.contentDocument.documentElement;
    f.style.height = d.scrollHeight + "px";
    const b = document.createElement("b");
    b.hidden = true;
    b.textContent = "SEEN " + scheme + " " + width + " " + d.scrollWidth + " " + getComputedStyle(f.contentDocument.querySelector(".pr-card")).backgroundColor;
    document.body.append(b);
  };
  f.srcdoc = page;
  document.body.append(f);
}
</script>`

var seen = regexp.MustCompile(`SEEN (light|dark) (\d+) (\d+) (rgb\([0-9, ]+\))`)

// TestLookInBrowser: in a real browser no starter is wider than the screen, dark
// screens get a dark page, and pictures are kept to be looked at.
func TestLookInBrowser(t *testing.T) {
	tree := filepath.Join(tools(t), "chromium")
	var libs []string
	err := filepath.WalkDir(filepath.Join(tree, "usr/lib"), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && (strings.Contains(d.Name(), "linux-gnu") || d.Name() == "pulseaudio") {
			libs = append(libs, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	fonts := t.TempDir() // the program's own font, for Chinese
	font, err := filepath.Abs(filepath.Join("..", "font"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(font, filepath.Join(fonts, "fonts")); err != nil {
		t.Fatal(err)
	}
	browse := func(args ...string) []byte {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, filepath.Join(tree, "usr/lib/chromium/chromium"), append([]string{
			"--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--user-data-dir=" + t.TempDir(), "--window-size=4352,1500",
			"--force-device-scale-factor=0.4", "--virtual-time-budget=4000",
		}, args...)...)
		cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(libs, ":"), "XDG_DATA_HOME="+fonts)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("the browser failed: %v", err)
		}
		return out
	}
	keep := filepath.Join("..", "..", "docs", "images", "designs")
	if err := os.MkdirAll(keep, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range Names() {
		for _, lang := range langs {
			page := filepath.Join(t.TempDir(), "sheet.html")
			shown := strconv.Quote(preview(t, dressed(t, name, lang, "#1a7f37")).HTML)
			if err := os.WriteFile(page, fmt.Appendf(nil, sheet, strings.ReplaceAll(shown, "</", `<\/`)), 0o600); err != nil {
				t.Fatal(err)
			}
			found := seen.FindAllStringSubmatch(html.UnescapeString(string(browse("--dump-dom", "file://"+page))), -1)
			if len(found) != 6 {
				t.Fatalf("%s.%s: the browser showed %d of 6 pages", name, lang, len(found))
			}
			for _, f := range found {
				if f[2] != f[3] {
					t.Errorf("%s.%s: at %s pixels the page is %s wide", name, lang, f[2], f[3])
				}
				if (f[4] == "rgb(255, 255, 255)") != (f[1] == "light") {
					t.Errorf("%s.%s: on a %s screen the page is %s", name, lang, f[1], f[4])
				}
			}
			shot := filepath.Join(t.TempDir(), "shot.png")
			browse("--screenshot="+shot, "file://"+page)
			if err := shrink(shot, filepath.Join(keep, name+"."+lang+".png")); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// shrink cuts the empty end off a picture and keeps 64 of its colours.
func shrink(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	src, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		return err
	}
	r := src.Bounds()
	ground := src.At(r.Min.X, r.Min.Y)
	bottom := r.Min.Y
	counts := map[color.RGBA]int{}
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			c := color.RGBAModel.Convert(src.At(x, y)).(color.RGBA) //nolint:forcetypeassert // that is the model's type
			if src.At(x, y) != ground {
				bottom = y
			}
			counts[color.RGBA{c.R &^ 7, c.G &^ 7, c.B &^ 7, 255}]++
		}
	}
	all := slices.SortedFunc(maps.Keys(counts), func(a, b color.RGBA) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a.R, b.R), cmp.Compare(a.G, b.G), cmp.Compare(a.B, b.B))
	})
	palette := color.Palette{color.White}
	for _, c := range all[:min(len(all), 63)] {
		palette = append(palette, c)
	}
	out := image.NewPaletted(image.Rect(0, 0, r.Dx(), min(bottom+8, r.Max.Y)-r.Min.Y), palette)
	known := map[color.RGBA]uint8{}
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			c := color.RGBAModel.Convert(src.At(r.Min.X+x, r.Min.Y+y)).(color.RGBA) //nolint:forcetypeassert // as above
			i, ok := known[c]
			if !ok {
				i = uint8(palette.Index(c))
				known[c] = i
			}
			out.SetColorIndex(x, y, i)
		}
	}
	var buf bytes.Buffer
	enc := png.Encoder{CompressionLevel: png.BestCompression}
	if err := enc.Encode(&buf, out); err != nil {
		return err
	}
	return os.WriteFile(to, buf.Bytes(), 0o644)
}
