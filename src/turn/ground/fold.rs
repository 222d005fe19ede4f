//! One spelling for reading: full-width to half-width, traditional to simplified, curly to straight. Every character
//! becomes exactly one character, so an offset in the folded text is an offset in the text.

/// Folds character by character; the result has as many code points as `text`. Letter case is kept.
pub(crate) fn fold(text: &str) -> String {
    text.chars().map(folded).collect()
}

fn folded(c: char) -> char {
    match c {
        // The full-width forms stand in the order of ASCII.
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        '\u{3000}' | '\u{a0}' | '\u{2009}' | '\u{202f}' => ' ',
        '￥' => '¥',
        '‐' | '‑' | '‒' | '–' | '−' => '-',
        '‘' | '’' | 'ʼ' | '`' => '\'',
        '“' | '”' => '"',
        '›' | '→' | '▸' => '>',
        '\u{4e00}'..='\u{9fff}' => simplified(c),
        _ => c,
    }
}

/// The simplified form of the traditional characters that our rules read. Not a converter: a rule that looks for a
/// word needs only the characters of that word here.
fn simplified(c: char) -> char {
    const TRADITIONAL: &str = "還沒試過裝換錢塊點後來無為這個兩萬億幾時間號單訂認證驗實體虛擬餘額鏈電腦機網絡節轉賬帳戶凍結幣種類應該錯誤報碼議罰騙誰說話聽嗎麼樣會員給請幫讓從開關啟動鐘頭週歲銀滙匯豐農設業國際華蘋發廣東興資訊訪問輸級陽歐鎊圓達狀態絕對別須務僅與費審覈續條覽儲貨較舊覺氣嚇責備損壞嚴緊擔憂寫卻裡裏臺灣壓縮現則總歷記錄頁閃確權簽聯維護據數標準礦長載刪軟憑學習買賣價當導併夠強圖蹤變遠離專補償處線異顯們詞鑰簡繳賠購賺貼贈質輕輪辦遲邏鄰釋鈕銷鎖鏡隊隨隱難靜響顧題願風飛驅驟魚鳥齊籤紀約紅純紙細終組統經綁綠緩編縣繼罷義聲聰職腳膽藍藝術衛衝複見規視觀觸計詐評詢誌語調論諾講謝識譯讀豬貝負財販貪貴貸賓賞賢賦賴贏趕趙跡踐車軌軍輔輛運適遺選鄭醫釣鈔鉤銅銳錶鍵鐵鑑門閉閱闆陰陳陸險雙雜雞雲項順預領頻顆顏館馬驚鬧麗黃黨龍龜嚮團執堅場塗墊奪奮嬰寧寶將尋屆層屬嶺廢廠廳彈徑復徹恆惡愛慘慣懷戰戲擁擇擊擋擴攔攝敗敘敵斷於暫曉書極構槍樓橋檔檢檻歡殘毀決沖況淚淨減測湊滅滾滿漢漲潛濟濫災烏熱燈營爭爾牆獎獨獲獻環產畢畫療瘋盡監盤盧眾睏睜禮禍稱積穩窮競筆築範籌糧係佈倉倫偉側偵偽傑傳債傷傾儀優兒兌內冊劃劇劉勝勞勢勵勸區協厲參吳喪嘗嘩圍園";
    const SIMPLIFIED: &str = "还没试过装换钱块点后来无为这个两万亿几时间号单订认证验实体虚拟余额链电脑机网络节转账账户冻结币种类应该错误报码议罚骗谁说话听吗么样会员给请帮让从开关启动钟头周岁银汇汇丰农设业国际华苹发广东兴资讯访问输级阳欧镑圆达状态绝对别须务仅与费审核续条览储货较旧觉气吓责备损坏严紧担忧写却里里台湾压缩现则总历记录页闪确权签联维护据数标准矿长载删软凭学习买卖价当导并够强图踪变远离专补偿处线异显们词钥简缴赔购赚贴赠质轻轮办迟逻邻释钮销锁镜队随隐难静响顾题愿风飞驱骤鱼鸟齐签纪约红纯纸细终组统经绑绿缓编县继罢义声聪职脚胆蓝艺术卫冲复见规视观触计诈评询志语调论诺讲谢识译读猪贝负财贩贪贵贷宾赏贤赋赖赢赶赵迹践车轨军辅辆运适遗选郑医钓钞钩铜锐表键铁鉴门闭阅板阴陈陆险双杂鸡云项顺预领频颗颜馆马惊闹丽黄党龙龟向团执坚场涂垫夺奋婴宁宝将寻届层属岭废厂厅弹径复彻恒恶爱惨惯怀战戏拥择击挡扩拦摄败叙敌断于暂晓书极构枪楼桥档检槛欢残毁决冲况泪净减测凑灭滚满汉涨潜济滥灾乌热灯营争尔墙奖独获献环产毕画疗疯尽监盘卢众困睁礼祸称积稳穷竞笔筑范筹粮系布仓伦伟侧侦伪杰传债伤倾仪优儿兑内册划剧刘胜劳势励劝区协厉参吴丧尝哗围园";
    TRADITIONAL.chars().position(|old| old == c).and_then(|at| SIMPLIFIED.chars().nth(at)).unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_every_spelling_alike() {
        for (text, folded) in [
            ("１，０００　ＵＳＤＴ", "1,000 USDT"),
            ("還沒到帳，試過重裝", "还没到账,试过重装"),
            ("我的 › 幫助", "我的 > 帮助"),
            ("餘額 ￥２００", "余额 ¥200"),
            ("錯誤碼 −32000", "错误码 -32000"),
        ] {
            assert_eq!(fold(text), folded);
        }
    }

    proptest! {
        #[test]
        fn keeps_every_offset(text in any::<String>()) {
            prop_assert_eq!(fold(&text).chars().count(), text.chars().count());
        }
    }
}
