"""What a page looks like: its frame, its style sheet, and the two palettes as variables of the page."""

from __future__ import annotations

from shared.pages.plots import DARK, LIGHT


def style_sheet() -> str:
    """Return the style sheet of a page, light and dark."""
    variables = {
        mode: "".join(f"--{name}:{value};" for name, value in palette.items())
        for mode, palette in (("light", LIGHT), ("dark", DARK))
    }
    # Dark for screens only: paper is white.
    return (
        f":root{{color-scheme:light dark;{variables['light']}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{variables['dark']}}}}}\n{_CSS}"
    )


PAGE = """<!DOCTYPE html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""

_CSS = """*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);
 font:1rem/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","Noto Sans","Liberation Sans",
 "PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif}
main{max-width:44rem;margin:0 auto;padding:3rem 1.25rem 5rem}
header{margin-bottom:2.5rem;padding-bottom:1.25rem;border-bottom:1px solid var(--rule)}
h1{font-size:1.85rem;line-height:1.2;font-weight:650;letter-spacing:-.015em;margin:0;text-wrap:balance}
.subtitle{margin:.5rem 0 0;color:var(--quiet)}
h2{font-size:1.25rem;line-height:1.3;font-weight:650;letter-spacing:-.005em;margin:3rem 0 .75rem;break-after:avoid}
h3{font-size:.95rem;line-height:1.4;font-weight:600;margin:0 0 .5rem}
p{margin:0 0 1rem;overflow-wrap:break-word;hyphens:auto}
a{color:var(--s1)}
nav{font-size:.88rem;margin:0 0 1.5rem;min-height:1.4rem}
nav:empty{display:none}
nav a{margin-right:1rem;text-decoration:none}
nav a:hover{text-decoration:underline}
.headline{margin:0 0 1.75rem;line-height:1.1}
.headline strong{font-size:2.9rem;font-weight:650;letter-spacing:-.03em;font-variant-numeric:tabular-nums lining-nums}
.headline span{color:var(--quiet);margin-left:.35rem}
.facts{width:100%;border-bottom:0;border-top:0;margin:0 0 1.5rem}
.facts th{width:13rem;font-weight:400;border:0;vertical-align:baseline;padding-right:1rem}
.facts tr+tr>*{border-top:1px solid var(--rule)}
details{margin:1rem 0 1.5rem}
summary{cursor:pointer;color:var(--quiet)}
pre{margin:1rem 0 1.5rem;padding:.8rem 1rem;background:var(--wash);border-radius:4px;overflow-x:auto;line-height:1.5}
code{font:.85rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono","DejaVu Sans Mono",monospace}
.scroll{overflow-x:auto;margin:1.5rem 0 2rem;background:
 linear-gradient(to right,var(--paper) 60%,transparent) 0 0/2rem 100% no-repeat local,
 linear-gradient(to left,var(--paper) 60%,transparent) 100% 0/2rem 100% no-repeat local,
 linear-gradient(to right,var(--rule),transparent) 0 0/.6rem 100% no-repeat scroll,
 linear-gradient(to left,var(--rule),transparent) 100% 0/.6rem 100% no-repeat scroll}
table{border-collapse:collapse;min-width:60%;font-size:.92rem;line-height:1.4;
 border-top:1.5px solid var(--ink);border-bottom:1.5px solid var(--ink)}
caption{text-align:left;caption-side:top;padding:0 0 .5rem;font-weight:600;font-size:.95rem}
th,td{padding:.42rem 1.4rem .42rem 0;text-align:left;vertical-align:baseline}
th:last-child,td:last-child{padding-right:0}
th{font-weight:600;color:var(--quiet);border-bottom:1px solid var(--ink);vertical-align:bottom}
tbody tr+tr td{border-top:1px solid var(--rule)}
.n{text-align:right;font-variant-numeric:tabular-nums lining-nums}
td.n{white-space:nowrap}
figure{margin:2rem 0 2.5rem;break-inside:avoid}
figure>svg,figure>img{display:block;width:100%;height:auto}
figure>svg{max-width:34rem}
figure>img{width:auto;max-width:100%}
svg.plot text{font-family:inherit!important;fill:currentColor}
svg.plot *{stroke-linejoin:round;stroke-linecap:butt}
figcaption{margin-top:.6rem;font-size:.88rem;line-height:1.5;color:var(--quiet)}
@media (max-width:30rem){main{padding:1.75rem 1rem 3rem}h1{font-size:1.5rem}h2{margin-top:2.25rem}
 table{min-width:100%;font-size:.88rem}th,td{padding-right:.9rem}.facts th{width:40%}
 table:not(.facts) td:first-child:not(.n){min-width:9rem}}
@media print{@page{margin:18mm 16mm}body{background:#fff;font-size:10.5pt}main{max-width:none;padding:0}
 .scroll{overflow:visible;background:none}
 pre{white-space:pre-wrap;border:1px solid var(--rule)}
 tr,pre,figure{break-inside:avoid}thead{display:table-header-group}
 figure>svg{max-width:150mm}}"""
