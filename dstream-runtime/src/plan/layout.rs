//! Layout of a drawn plan: layers from left to right, few crossings, straight lines.
//!
//! Pure arithmetic on sizes. The layer of a box is its longest path from a start; an edge over several
//! layers passes between their boxes.

/// The size of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) width: i32,
    pub(super) height: i32,
}

/// A point; y grows downwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) x: i32,
    pub(super) y: i32,
}

/// The layout, from (0, 0).
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) size: Size,
    /// Upper left corner of each box.
    pub(super) boxes: Vec<Point>,
    /// An even number of points per edge: within a pair the edge bends from layer to layer, between pairs it
    /// is straight.
    pub(super) routes: Vec<Vec<Point>>,
}

/// Space between layers, for arrows and labels.
const GAP: i32 = 96;
/// Space between boxes of a layer.
const SPACE: i32 = 26;
/// Space between edge ends at a box.
const PORT: i32 = 14;
const SWEEPS: usize = 8;

/// A box, or the passage of an edge through a layer.
struct Node {
    size: Size,
    layer: usize,
    /// Middle.
    y: f64,
    before: Vec<usize>,
    after: Vec<usize>,
}

struct Graph {
    nodes: Vec<Node>,
    /// The nodes of each layer from top to bottom.
    layers: Vec<Vec<usize>>,
    /// The nodes on each edge, ends included.
    paths: Vec<Vec<usize>>,
}

/// Lays out boxes; every edge goes from a box to a later one.
pub(super) fn layered(sizes: &[Size], edges: &[(usize, usize)]) -> Layout {
    let mut graph = Graph::new(sizes, edges);
    for sweep in 0..SWEEPS {
        graph.sort(sweep % 2 == 0);
    }
    graph.stack();
    for sweep in 0..SWEEPS {
        graph.align(sweep % 2 == 0);
    }
    graph.finish(sizes.len())
}

fn layers_of(boxes: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut layers = vec![0; boxes];
    let mut sorted = edges.to_vec();
    sorted.sort_unstable();
    for &(from, to) in &sorted {
        layers[to] = layers[to].max(layers[from] + 1);
    }
    // A box without predecessors goes right before its first reader.
    for start in 0..boxes {
        if edges.iter().all(|&(_, to)| to != start) {
            let after = edges.iter().filter(|(from, _)| *from == start).map(|&(_, to)| layers[to]);
            layers[start] = after.min().map_or(0, |layer| layer - 1);
        }
    }
    layers
}

impl Graph {
    fn new(sizes: &[Size], edges: &[(usize, usize)]) -> Self {
        let node = |size, layer| Node { size, layer, y: 0.0, before: vec![], after: vec![] };
        let layers = layers_of(sizes.len(), edges);
        let mut nodes: Vec<Node> =
            sizes.iter().zip(&layers).map(|(size, layer)| node(*size, *layer)).collect();
        let mut paths = Vec::new();
        for &(from, to) in edges {
            let mut path = vec![from];
            for layer in layers[from] + 1..layers[to] {
                path.push(nodes.len());
                nodes.push(node(Size { width: 0, height: 0 }, layer));
            }
            path.push(to);
            for pair in path.windows(2) {
                nodes[pair[0]].after.push(pair[1]);
                nodes[pair[1]].before.push(pair[0]);
            }
            paths.push(path);
        }
        let depth = nodes.iter().map(|node| node.layer + 1).max().unwrap_or_default();
        let mut by_layer = vec![Vec::new(); depth];
        for (i, node) in nodes.iter().enumerate() {
            by_layer[node.layer].push(i);
        }
        Self { nodes, layers: by_layer, paths }
    }

    /// Runs `each` for every layer, from left to right or back.
    fn sweep(&mut self, forward: bool, each: impl Fn(&mut Self, usize)) {
        for i in 0..self.layers.len() {
            each(self, if forward { i } else { self.layers.len() - 1 - i });
        }
    }

    /// Orders each layer by the mean position of its neighbours on one side.
    fn sort(&mut self, forward: bool) {
        self.sweep(forward, |graph, layer| {
            let mut place = vec![0.0; graph.nodes.len()];
            for layer in &graph.layers {
                layer.iter().enumerate().for_each(|(i, node)| place[*node] = i as f64);
            }
            let key = |i: &usize| graph.mean(*i, forward, |n| place[n]).unwrap_or(place[*i]);
            let mut order = graph.layers[layer].clone();
            order.sort_by(|a, b| key(a).total_cmp(&key(b)));
            graph.layers[layer] = order;
        });
    }

    /// The mean over the neighbours on one side.
    fn mean(&self, node: usize, before: bool, of: impl Fn(usize) -> f64) -> Option<f64> {
        let node = &self.nodes[node];
        let near = if before { &node.before } else { &node.after };
        let sum: f64 = near.iter().map(|i| of(*i)).sum();
        (!near.is_empty()).then(|| sum / near.len() as f64)
    }

    /// The least distance between the centres of two neighbours in a layer.
    fn apart(&self, upper: usize, lower: usize) -> f64 {
        f64::from(self.nodes[upper].size.height + self.nodes[lower].size.height) / 2.0
            + f64::from(SPACE)
    }

    /// Stacks the nodes of each layer, centred at 0.
    fn stack(&mut self) {
        self.sweep(true, |graph, layer| {
            let order = graph.layers[layer].clone();
            let mut y = 0.0;
            for (i, &node) in order.iter().enumerate() {
                if i > 0 {
                    y += graph.apart(order[i - 1], node);
                }
                graph.nodes[node].y = y;
            }
            order.iter().for_each(|&node| graph.nodes[node].y -= y / 2.0);
        });
    }

    /// Moves the nodes of each layer towards their neighbours on one side, as far as order and space allow:
    /// the mean of pushing only down and only up, both of which keep them apart.
    fn align(&mut self, forward: bool) {
        self.sweep(forward, |graph, layer| {
            let order = graph.layers[layer].clone();
            let wanted: Vec<f64> = order
                .iter()
                .map(|&i| graph.mean(i, forward, |n| graph.nodes[n].y).unwrap_or(graph.nodes[i].y))
                .collect();
            let (mut down, mut up) = (wanted.clone(), wanted);
            for i in 1..order.len() {
                down[i] = down[i].max(down[i - 1] + graph.apart(order[i - 1], order[i]));
            }
            for i in (1..order.len()).rev() {
                up[i - 1] = up[i - 1].min(up[i] - graph.apart(order[i - 1], order[i]));
            }
            for (i, &node) in order.iter().enumerate() {
                graph.nodes[node].y = f64::midpoint(down[i], up[i]);
            }
        });
    }

    fn finish(self, boxes: usize) -> Layout {
        let top = |node: &Node| node.y - f64::from(node.size.height) / 2.0;
        let highest = self.nodes.iter().map(top).fold(f64::INFINITY, f64::min);
        let y = |node: &Node| (node.y - highest).round() as i32;
        let width = |layer: &Vec<usize>| {
            layer.iter().map(|node| self.nodes[*node].size.width).max().unwrap_or_default()
        };
        let widths: Vec<i32> = self.layers.iter().map(width).collect();
        let mut lefts = Vec::new();
        let mut x = 0;
        for width in &widths {
            lefts.push(x);
            x += width + GAP;
        }
        let left = |node: &Node| lefts[node.layer] + (widths[node.layer] - node.size.width) / 2;
        let routes = self.paths.iter().map(|path| {
            let mut points = Vec::new();
            for pair in path.windows(2) {
                let (from, to) = (&self.nodes[pair[0]], &self.nodes[pair[1]]);
                let (out, into) =
                    (self.port(pair[0], pair[1], false), self.port(pair[1], pair[0], true));
                let passing = |node: &Node| node.size.width == 0;
                let right = if passing(from) {
                    lefts[from.layer] + widths[from.layer]
                } else {
                    left(from) + from.size.width
                };
                let arrives = if passing(to) { lefts[to.layer] } else { left(to) };
                points.push(Point { x: right, y: y(from) + out });
                points.push(Point { x: arrives, y: y(to) + into });
            }
            points
        });
        let bottom = |node: &Node| y(node) + node.size.height / 2;
        Layout {
            size: Size {
                width: (x - GAP).max(0),
                height: self.nodes.iter().map(bottom).max().unwrap_or_default(),
            },
            routes: routes.collect(),
            boxes: self.nodes[..boxes]
                .iter()
                .map(|node| Point { x: left(node), y: y(node) - node.size.height / 2 })
                .collect(),
        }
    }

    /// Offset from a node's centre at which its edge to `other` ends, so that edges do not cross there.
    fn port(&self, node: usize, other: usize, before: bool) -> i32 {
        let near = if before { &self.nodes[node].before } else { &self.nodes[node].after };
        let place = |i: &usize| self.nodes[*i].y;
        let above = near.iter().filter(|i| place(i) < place(&other)).count() as i32;
        let room = self.nodes[node].size.height / (near.len() as i32 + 1);
        (2 * above - (near.len() as i32 - 1)) * PORT.min(room) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOX: Size = Size { width: 100, height: 40 };

    fn overlap(a: Point, b: Point) -> bool {
        (a.x - b.x).abs() < BOX.width && (a.y - b.y).abs() < BOX.height
    }

    #[test]
    fn boxes_stand_apart_and_edges_go_right() {
        let edges = [(0, 2), (1, 2), (2, 3), (2, 4), (3, 5), (4, 5), (0, 5), (1, 6)];
        let layout = layered(&[BOX; 7], &edges);
        for (i, &a) in layout.boxes.iter().enumerate() {
            assert!(a.x >= 0 && a.y >= 0, "{a:?}");
            assert!(a.x + 100 <= layout.size.width && a.y + 40 <= layout.size.height, "{a:?}");
            assert!(layout.boxes[..i].iter().all(|&b| !overlap(a, b)));
        }
        for (route, (from, to)) in layout.routes.iter().zip(edges) {
            assert!(route.windows(2).all(|pair| pair[0].x <= pair[1].x));
            let (first, last) = (route[0], route[route.len() - 1]);
            assert_eq!(first.x, layout.boxes[from].x + 100);
            assert_eq!(last.x, layout.boxes[to].x);
            assert!((first.y - layout.boxes[from].y - 20).abs() <= 20);
        }
    }

    #[test]
    fn a_chain_is_a_straight_line() {
        let layout = layered(&[BOX; 4], &[(0, 1), (1, 2), (2, 3)]);
        assert!(layout.boxes.iter().all(|corner| corner.y == 0));
        assert_eq!(layout.size, Size { width: 4 * 100 + 3 * GAP, height: 40 });
    }

    #[test]
    fn an_edge_over_a_layer_passes_beside_its_boxes() {
        let layout = layered(&[BOX; 3], &[(0, 1), (1, 2), (0, 2)]);
        let passing = &layout.routes[2][1..3];
        assert_eq!(passing[0].y, passing[1].y);
        assert!(passing[0].y < layout.boxes[1].y || passing[0].y > layout.boxes[1].y + 40);
    }

    #[test]
    fn crossings_are_undone() {
        let layout = layered(&[BOX; 4], &[(0, 3), (1, 2)]);
        let y = |i: usize| layout.boxes[i].y;
        assert_eq!((y(0) < y(1), y(0)), (y(3) < y(2), y(3)));
    }

    #[test]
    fn nothing_needs_no_room() {
        assert_eq!(layered(&[], &[]).size, Size { width: 0, height: 0 });
    }
}
