package screens

import (
	"context"
	"encoding/json"

	"postroom/ui/widgets"
)

// KeepWidths gives a grid the column widths that its user once set, and keeps
// those that are set from now on, under a name of the grid.
func KeepWidths(e *Env, name string, g *widgets.DataGrid) {
	key := "ledger.widths." + name // not one of the settings that are listed
	g.OnWidths = func(widths map[string]float32) {
		Load(context.Background(), e, func(ctx context.Context) (struct{}, error) {
			text, err := json.Marshal(widths)
			if err != nil {
				return struct{}{}, err
			}
			return struct{}{}, e.Ledger.SetSetting(ctx, key, string(text))
		}, func(_ struct{}, err error) {
			if err != nil {
				e.Log.Error("keep the widths of columns", "err", err)
			}
		})
	}
	Load(context.Background(), e, func(ctx context.Context) (map[string]float32, error) {
		text, err := e.Ledger.Setting(ctx, key, "{}")
		if err != nil {
			return nil, err
		}
		var widths map[string]float32
		err = json.Unmarshal([]byte(text), &widths)
		return widths, err
	}, func(widths map[string]float32, err error) {
		if err != nil {
			e.Log.Error("read the widths of columns", "err", err)
			return
		}
		g.SetWidths(widths)
	})
}
