package widgets

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
)

// VStack stacks objects from top to bottom, each as wide as the column, with a
// gap between them. Objects wrapped in Grow share the height that is left.
// Hidden objects take no room.
func VStack(gap float32, objects ...fyne.CanvasObject) *fyne.Container {
	return container.New(&stackLayout{gap: gap, vertical: true}, objects...)
}

// HStack sets objects from left to right, centred vertically, with a gap between
// them. Objects wrapped in Grow share the width that is left.
func HStack(gap float32, objects ...fyne.CanvasObject) *fyne.Container {
	return container.New(&stackLayout{gap: gap}, objects...)
}

// Grow marks an object of a VStack or an HStack as one that takes what is left.
func Grow(object fyne.CanvasObject) *fyne.Container {
	return container.New(growLayout{}, object)
}

// Space is an empty object that takes what is left.
func Space() *fyne.Container { return container.New(growLayout{}) }

// Inset puts a margin around an object.
func Inset(top, right, bottom, left float32, object fyne.CanvasObject) *fyne.Container {
	return container.New(insetLayout{top, right, bottom, left}, object)
}

// FixedWidth gives an object a width of its own.
func FixedWidth(width float32, object fyne.CanvasObject) *fyne.Container {
	return container.New(fixedLayout{width: width}, object)
}

// FixedHeight gives an object a height of its own.
func FixedHeight(height float32, object fyne.CanvasObject) *fyne.Container {
	return container.New(fixedLayout{height: height}, object)
}

// Columns sets objects side by side, each as high as the highest, in shares of
// the width: Columns(14, []float32{2, 1}, left, right).
func Columns(gap float32, shares []float32, objects ...fyne.CanvasObject) *fyne.Container {
	return container.New(&sharesLayout{gap: gap, shares: shares}, objects...)
}

type growLayout struct{}

func (growLayout) MinSize(objects []fyne.CanvasObject) fyne.Size {
	var min fyne.Size
	for _, o := range objects {
		if o.Visible() {
			min = min.Max(o.MinSize())
		}
	}
	return min
}

func (growLayout) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	for _, o := range objects {
		o.Move(fyne.Position{})
		o.Resize(size)
	}
}

// grows reports whether an object takes what is left.
func grows(o fyne.CanvasObject) bool {
	c, ok := o.(*fyne.Container)
	if !ok {
		return false
	}
	_, ok = c.Layout.(growLayout)
	return ok
}

type insetLayout struct{ top, right, bottom, left float32 }

func (l insetLayout) MinSize(objects []fyne.CanvasObject) fyne.Size {
	return growLayout{}.MinSize(objects).AddWidthHeight(l.left+l.right, l.top+l.bottom)
}

func (l insetLayout) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	for _, o := range objects {
		o.Move(fyne.NewPos(l.left, l.top))
		o.Resize(size.SubtractWidthHeight(l.left+l.right, l.top+l.bottom))
	}
}

// fixedLayout replaces one or both sides of the minimum; 0 leaves a side alone.
type fixedLayout struct{ width, height float32 }

func (l fixedLayout) MinSize(objects []fyne.CanvasObject) fyne.Size {
	min := growLayout{}.MinSize(objects)
	if l.width > 0 {
		min.Width = l.width
	}
	if l.height > 0 {
		min.Height = l.height
	}
	return min
}

func (fixedLayout) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	growLayout{}.Layout(objects, size)
}

type stackLayout struct {
	gap      float32
	vertical bool
}

func (l *stackLayout) MinSize(objects []fyne.CanvasObject) fyne.Size {
	var along, across float32
	shown := 0
	for _, o := range objects {
		if !o.Visible() {
			continue
		}
		shown++
		a, c := l.split(o.MinSize())
		along += a
		across = max(across, c)
	}
	if shown > 1 {
		along += l.gap * float32(shown-1)
	}
	if l.vertical {
		return fyne.NewSize(across, along)
	}
	return fyne.NewSize(along, across)
}

// split returns a size along and across the direction of the stack.
func (l *stackLayout) split(s fyne.Size) (along, across float32) {
	if l.vertical {
		return s.Height, s.Width
	}
	return s.Width, s.Height
}

func (l *stackLayout) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	if l.vertical {
		// Wrapped text knows its height only once it knows its width.
		for _, o := range objects {
			if o.Visible() && o.Size().Width != size.Width {
				o.Resize(fyne.NewSize(size.Width, max(o.Size().Height, o.MinSize().Height)))
			}
		}
	}
	rest, _ := l.split(size)
	growing, shown := 0, 0
	for _, o := range objects {
		if !o.Visible() {
			continue
		}
		shown++
		along, _ := l.split(o.MinSize())
		rest -= along
		if grows(o) {
			growing++
		}
	}
	rest -= l.gap * float32(max(0, shown-1))
	share := float32(0)
	if growing > 0 && rest > 0 {
		share = rest / float32(growing)
	}
	l.place(objects, size, share)
}

func (l *stackLayout) place(objects []fyne.CanvasObject, size fyne.Size, share float32) {
	at := float32(0)
	for _, o := range objects {
		if !o.Visible() {
			continue
		}
		min := o.MinSize()
		along, across := l.split(min)
		if grows(o) {
			along += share
		}
		if l.vertical {
			o.Move(fyne.NewPos(0, at))
			o.Resize(fyne.NewSize(size.Width, along))
		} else {
			if grows(o) {
				across = size.Height
			}
			o.Move(fyne.NewPos(at, (size.Height-across)/2))
			o.Resize(fyne.NewSize(along, across))
		}
		at += along + l.gap
	}
}

// besideOrBelow sets the second of two objects beside the first, or below it where
// there is no room for both, so that neither is cut.
type besideOrBelow struct{ gap, width float32 } // width: the last one

func (l *besideOrBelow) MinSize(o []fyne.CanvasObject) fyne.Size {
	first, second := o[0].MinSize(), o[1].MinSize()
	size := fyne.NewSize(max(first.Width, second.Width), max(first.Height, second.Height))
	if l.below(first, second) {
		size.Height = first.Height + second.Height
	}
	return size
}

func (l *besideOrBelow) below(first, second fyne.Size) bool {
	return l.width > 0 && second.Width > 0 && first.Width+l.gap+second.Width > l.width
}

func (l *besideOrBelow) Layout(o []fyne.CanvasObject, size fyne.Size) {
	l.width = size.Width
	first, second := o[0].MinSize(), o[1].MinSize()
	if l.below(first, second) {
		o[0].Move(fyne.NewPos(0, 0))
		o[1].Move(fyne.NewPos(0, first.Height))
	} else {
		high := max(first.Height, second.Height)
		o[0].Move(fyne.NewPos(0, (high-first.Height)/2))
		o[1].Move(fyne.NewPos(first.Width+l.gap, (high-second.Height)/2))
	}
	o[0].Resize(first)
	o[1].Resize(second)
}

type sharesLayout struct {
	gap    float32
	shares []float32
}

func (l *sharesLayout) share(i int) float32 {
	if i < len(l.shares) && l.shares[i] > 0 {
		return l.shares[i]
	}
	return 1
}

func (l *sharesLayout) MinSize(objects []fyne.CanvasObject) fyne.Size {
	var min fyne.Size
	for _, o := range objects {
		m := o.MinSize()
		min.Width += m.Width
		min.Height = max(min.Height, m.Height)
	}
	min.Width += l.gap * float32(max(0, len(objects)-1))
	return min
}

func (l *sharesLayout) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	var sum float32
	for i := range objects {
		sum += l.share(i)
	}
	room := size.Width - l.gap*float32(max(0, len(objects)-1))
	x := float32(0)
	for i, o := range objects {
		w := room * l.share(i) / sum
		o.Move(fyne.NewPos(x, 0))
		o.Resize(fyne.NewSize(w, size.Height))
		x += w + l.gap
	}
}
