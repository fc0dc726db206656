//go:build linux && !race

package window_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// rightClick opens the menu of a row.
func (w *window) rightClick(text string) {
	w.t.Helper()
	at := w.still("the row "+text, row(text))
	w.do("xdotool", "mousemove", "--window", w.x, strconv.Itoa(at.Box[0]+4), strconv.Itoa(at.Box[1]+at.Box[3]/2), "click", "3")
}

// crowdFile writes a file of so many people.
func crowdFile(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "crowd.csv")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, "email,name,city,nr")
	for i := range n {
		fmt.Fprintf(w, "p%07d@example.net,Person %d,Graz,%05d\n", i, i, i%100_000)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestPastedBook works with the dark window in Chinese: cells are pasted on the
// table, menus are opened by mouse and keyboard, and a long import is cancelled and
// done after all.
func TestPastedBook(t *testing.T) {
	d := newDesk(t, 1280, 800, false)
	data := filepath.Join(d.home, "data")
	for _, s := range [][]string{{"language", "zh-Hans"}, {"theme", "dark"}} {
		if out, code := d.cli(data, "settings", "set", s[0], s[1]); code != 0 {
			t.Fatal(out)
		}
	}
	w := d.open(data)
	w.key("ctrl+3")
	w.at("contacts")
	w.says("导入联系人")
	step(t, "paste with nothing focused")
	d.clipboard("姓名\t邮箱\t地址\t编号\r\n王小明\txm@example.cn\t\"南京路 2 号\n上海\"\t007\r\n\"李 \"\"小\"\" 红\"\tlxh@example.cn\t\t008\r\n张伟\tzw@example.cn\t北京\t009\r\n")
	w.key("ctrl+v")
	w.until("the columns", func(p *picture) bool {
		e, ok := p.named("import.column.邮箱")
		return ok && e.Text == "邮件地址" && p.says("{{地址}}") && p.says("{{编号}}")
	})
	w.picked("zh-columns")
	w.press("下一步")
	w.until("the plan", func(p *picture) bool { return p.says("3") && p.says("跳过") })
	w.picked("zh-plan")
	w.key("Return")
	w.until("the result", func(p *picture) bool { _, ok := p.named("import.column.邮箱"); return !ok && p.says("第 4 步") })
	w.picked("zh-done")
	w.key("Return")
	w.until("the list", func(p *picture) bool { return p.says("zw@example.cn") && p.says("lxh@example.cn") })
	out, _ := w.cli(data, "--json", "contacts", "list", "--search", "xm@")
	if !strings.Contains(out, `南京路 2 号\n上海`) || !strings.Contains(out, `"007"`) {
		t.Errorf("the cells did not come as they were: %s", out)
	}

	step(t, "menus")
	w.rightClick("zw@example.cn")
	w.until("the menu", func(p *picture) bool { return p.Layers == 2 && p.says("打开") })
	w.picked("zh-menu")
	w.key("Escape")
	w.alone()
	w.pick("zw@example.cn", "")
	w.key("shift+Up")
	w.key("Menu")
	w.until("the menu of two", func(p *picture) bool { return p.Layers == 2 && !p.says("打开") })
	w.picked("zh-menu-of-two")
	w.key("Escape")
	w.alone()

	step(t, "a long import is cancelled")
	w.press("导入…")
	w.fill("import.file", crowdFile(t, 150_000))
	w.fill("import.list", "Crowd")
	w.key("Return")
	w.until("the columns", func(p *picture) bool { _, ok := p.named("import.column.email"); return ok })
	w.press("下一步")
	w.until("the plan", func(p *picture) bool {
		if p.says("无法停止") {
			t.Error("a dry run says that it writes and cannot be stopped")
		}
		return p.says("新增 150,000") && p.says("第 3 步")
	})
	w.picked("zh-long-plan")
	w.click("import.next")
	w.until("the progress", func(p *picture) bool {
		b, ok := p.named("import.back")
		next, _ := p.named("import.next")
		return ok && b.Enabled && !next.Enabled
	})
	w.shot("zh-progress")
	w.click("import.back")
	w.until("the end of it", func(p *picture) bool { next, ok := p.named("import.next"); return ok && next.Enabled })
	w.picked("zh-cancelled")
	n := len(w.inList("Crowd"))
	switch p := w.look(); {
	case p.says("第 4 步"): // it was too far by then
		if n != 150_000 {
			t.Errorf("carried out, and %d people are on the list", n)
		}
	default:
		if n != 0 {
			t.Errorf("cancelled, and %d people are on the list", n)
		}
		w.click("import.next")
		w.until("the result", func(p *picture) bool { return p.says("第 4 步") })
		if n := len(w.inList("Crowd")); n != 150_000 {
			t.Errorf("%d people are on the list", n)
		}
	}
	w.click("import.next")
	w.until("the list", func(p *picture) bool { return p.says("p0000000@example.net") })
	w.picked("zh-list")
	w.terminate()
}
