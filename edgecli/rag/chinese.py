"""Where a Chinese question says nothing of what it is about: its question words, pronouns and particles.

Chinese is written without spaces, so such words would come into the pairs of characters that are searched for
(`期限是多少天`: 限是, 是多, 多少, 少天). They are cut out first, the longest first, and what is left between them is
paired. Words that only contain a particle (`目的`, `有效`) stay whole.
"""

from __future__ import annotations

import re

_EMPTY = """
    什么 什么样 什么时候 怎么 怎么样 怎么办 怎样 如何 为什么 为何 何时 何处 哪些 哪个 哪里 哪儿 哪种 哪家 哪天
    多少 多少天 多少钱 多少人 多少次 多少个 多少种 多久 多长 多长时间 多大 多远 多高 几天 几个 几次 几种 几点
    要多久 要多少 要多长 是否 能否 可否 是不是 能不能 可不可以 可以不可以 有没有 要不要 会不会 行不行 可以 能够 需要
    我们 你们 您们 他们 她们 它们 大家 自己 这个 那个 这些 那些 这里 那里 这样 那样 这种 那种 这么 那么
    每个 某个 某些 某种 才能 才会 知道 不想 一个 一下 一些
    如果 因为 所以 但是 然后 关于 对于 请问 告诉 想要 我想 我要 你好 您好 今天 明天 昨天 现在 为了 除了 时候
    什麼 什麼樣 怎麼 怎麼樣 怎麼辦 怎樣 為什麼 多長 幾天 幾個 哪裡 哪裏 我們 你們 這個 那個 這些 請問 嗎
    的 了 吗 呢 吧 啊 呀 嘛 是 我 你 您 他 她 它 在 有 要 能 请 谁 哪 几 这 那 就 也 都 个 被 让 给 很
    誰 這 個 們
"""
_WHOLE = """
    目的 的确 有效 有限 有关 有用 有害 有机 有线 有人 所有 拥有 没有 含有 具有 持有 私有 共有 国有 专有 占有 现有
    原有 独有 只有 唯有 了解 存在 在线 正在 所在 内在 潜在 实在 于是 是非
    重要 主要 要求 必要 摘要 概要 要点 要素 功能 性能 智能 能力 能源 能量 可能 不能 只能 节能 太阳能
    申请 请求 邀请 请假 聘请 个人 个性 个体 整个 首都 成都 都市 京都 几乎 几何 转让 供给 发给 就业 成就 就绪
    自我 不要 不是 没有 不在 不会 不可以 不需要
"""


def _alternatives(words: str) -> str:
    return "|".join(sorted(set(words.split()), key=len, reverse=True))


_PIECES = re.compile(f"(?P<whole>{_alternatives(_WHOLE)})|(?P<empty>{_alternatives(_EMPTY)})")
_OTHER_SCRIPT = re.compile("[\u3040-\u30ff\uac00-\ud7af]")


def content(run: str) -> list[str]:
    """Return the pieces of a run of characters that are left when words without content are cut out.

    Japanese and Korean runs are not cut: the same characters are parts of other words there.
    """
    if _OTHER_SCRIPT.search(run):
        return [run]
    cut = _PIECES.sub(lambda found: found["whole"] or " ", run)
    return cut.split()
