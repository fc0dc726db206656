package accounts
import ("testing";"fyne.io/fyne/v2";"postroom/assets/words";"postroom/assets/theme";"postroom/ui/screens";"fyne.io/fyne/v2/test")
func TestPos(t *testing.T){
 r:=newRig(t,words.English,theme.Light)
 a:=mustSave(t,r.view.saver,0,filled())
 r.view.Show(screens.Route{ID:a.ID})
 r.until("x",r.listed(1))
 t.Log(fyne.CurrentApp().Driver().AbsolutePositionForObject(r.view.panel.test), fyne.CurrentApp().Driver().AbsolutePositionForObject(r.view.panel.name), r.view.panel.test.Size())
 r.tap("accounts.edit")
 for _,o:=range test.LaidOutObjects(r.win.Content()){ t.Logf("%T %v %v",o,fyne.CurrentApp().Driver().AbsolutePositionForObject(o),o.Size()) }
}
