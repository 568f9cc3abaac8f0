// What the real Prometheus answers: its query engine over its own storage. `take.py` runs it.
//
// Standard input is JSON: series (labels, and samples as [milliseconds, value or "stale"]) and queries (with a time, or
// a start, an end and a step, in seconds). Standard output is a list of the answers.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb"
)

type Series struct {
	Labels  map[string]string `json:"labels"`
	Samples [][2]string       `json:"samples"`
}
type Query struct {
	Query string   `json:"query"`
	Time  *float64 `json:"time"`
	Start float64  `json:"start"`
	End   float64  `json:"end"`
	Step  float64  `json:"step"`
}
type In struct {
	Series  []Series `json:"series"`
	Queries []Query  `json:"queries"`
}

func ff(v float64) string { return strconv.FormatFloat(v, 'g', 17, 64) }

func ms(f float64) time.Time { return time.UnixMilli(int64(math.Round(f * 1000))).UTC() }

func main() {
	var in In
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		panic(err)
	}
	dir, _ := os.MkdirTemp("", "prometheus")
	defer os.RemoveAll(dir)
	opts := tsdb.DefaultOptions()
	opts.MinBlockDuration = int64(1000 * 3600 * 1000)
	opts.MaxBlockDuration = int64(1000 * 3600 * 1000)
	opts.RetentionDuration = 0
	db, err := tsdb.Open(dir, slog.New(slog.DiscardHandler), nil, opts, tsdb.NewDBStats())
	if err != nil {
		panic(err)
	}
	for _, s := range in.Series {
		app := db.Appender(context.Background())
		l := labels.FromMap(s.Labels)
		for _, p := range s.Samples {
			t, _ := strconv.ParseInt(p[0], 10, 64)
			var v float64
			if p[1] == "stale" {
				v = math.Float64frombits(value.StaleNaN)
			} else {
				v, err = strconv.ParseFloat(p[1], 64)
				if err != nil {
					panic(err)
				}
			}
			if _, err := app.Append(0, l, t, v); err != nil {
				panic(err)
			}
		}
		if err := app.Commit(); err != nil {
			panic(err)
		}
	}
	eng := promql.NewEngine(promql.EngineOpts{MaxSamples: 50000000, Timeout: time.Minute,
		EnableAtModifier: true, NoStepSubqueryIntervalFn: func(int64) int64 { return 60000 }, EnableNegativeOffset: true, Parser: parser.NewParser(parser.Options{})})
	out := []any{}
	for _, q := range in.Queries {
		var qry promql.Query
		var err error
		if q.Time != nil {
			qry, err = eng.NewInstantQuery(context.Background(), db, nil, q.Query, ms(*q.Time))
		} else {
			qry, err = eng.NewRangeQuery(context.Background(), db, nil, q.Query, ms(q.Start), ms(q.End), time.Duration(q.Step*1000)*time.Millisecond)
		}
		if err != nil {
			out = append(out, map[string]any{"errorType": "bad_data", "error": err.Error()})
			continue
		}
		r := qry.Exec(context.Background())
		if r.Err != nil {
			out = append(out, map[string]any{"errorType": "execution", "error": r.Err.Error()})
			continue
		}
		m := map[string]any{"resultType": string(r.Value.Type())}
		rows := []any{}
		switch v := r.Value.(type) {
		case promql.Vector:
			for _, s := range v {
				rows = append(rows, map[string]any{"metric": s.Metric.Map(), "value": []any{float64(s.T) / 1000, ff(s.F)}, "hist": s.H != nil})
			}
		case promql.Matrix:
			for _, s := range v {
				vs := []any{}
				for _, p := range s.Floats {
					vs = append(vs, []any{float64(p.T) / 1000, ff(p.F)})
				}
				rows = append(rows, map[string]any{"metric": s.Metric.Map(), "values": vs, "hist": len(s.Histograms) > 0})
			}
		case promql.Scalar:
			rows = append(rows, []any{float64(v.T) / 1000, ff(v.V)})
		case promql.String:
			rows = append(rows, []any{float64(v.T) / 1000, v.V})
		}
		m["result"] = rows
		if len(r.Warnings) > 0 {
			w := []string{}
			for k := range r.Warnings {
				w = append(w, k)
			}
			m["warnings"] = w
		}
		out = append(out, m)
		qry.Close()
	}
	b, _ := json.Marshal(out)
	fmt.Println(string(b))
}
