"""The 10-foot toolkit: what a page is made of (nodes), where it stands (layout), how it is drawn (paint, stage), focus.

nodes, screen, clock        contracts: what screens compose and what they may ask
theme, fonts, wrap, icons   the look: numbers, letters, line breaks, drawings
layout, texts, flow, boxes, parts, chrome, scene     where everything stands, in whole device pixels
items                       what a laid-out page consists of
shapes, cardart, paint, focus     pixels
diff, spatial, stage        what changed, where arrows go, and the stage that the shell drives
"""
