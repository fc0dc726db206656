package mailings

import "fyne.io/fyne/v2"

// receiptItem asks the recipients' programs to tell when a message was opened
// (RFC 8098), or no more. Many ask their user first, and most never tell.
func (e *editor) receiptItem() *fyne.MenuItem {
	item := fyne.NewMenuItem(e.v.env.T("composer.menu.read_receipt"), func() {
		e.edit(func() { e.draft.Content.ReadReceipt = !e.draft.Content.ReadReceipt })
	})
	item.Checked = e.draft.Content.ReadReceipt
	return item
}
