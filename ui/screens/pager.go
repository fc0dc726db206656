package screens

import (
	"postroom/storage"
	"postroom/ui/widgets"
)

// Pager keeps the place in a long list that a grid shows page by page.
type Pager struct {
	Size  int
	Page  storage.Page
	From  int64 // number of the first row shown, from 1
	Total int64
	pages storage.Pages
}

// NewPager returns a Pager at the first page.
func NewPager(size int) *Pager {
	p := &Pager{Size: size}
	p.First()
	return p
}

// First goes to the first page.
func (p *Pager) First() { p.Page, p.From = storage.Page{Limit: p.Size}, 1 }

// Loaded takes over what a page said about its neighbours.
func (p *Pager) Loaded(pages storage.Pages, total int64) { p.pages, p.Total = pages, total }

// Turn moves to another page and reports whether there is one.
func (p *Pager) Turn(t widgets.Turn) bool {
	n := int64(p.Size)
	switch {
	case t == widgets.FirstPage:
		p.First()
	case t == widgets.LastPage:
		last := p.Total % n
		if last == 0 {
			last = min(n, p.Total)
		}
		// The last page holds what is left over, so that the numbers fit.
		p.Page, p.From = storage.Page{Limit: int(max(last, 1)), Back: true}, max(1, p.Total-last+1)
	case t == widgets.NextPage && p.pages.Next != "":
		p.Page, p.From = storage.Page{Limit: p.Size, Cursor: p.pages.Next}, p.From+n
	case t == widgets.PreviousPage && p.pages.Prev != "":
		p.Page, p.From = storage.Page{Limit: p.Size, Cursor: p.pages.Prev, Back: true}, max(1, p.From-n)
	default:
		return false
	}
	return true
}
